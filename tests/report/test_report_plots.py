from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from genbench.report.plots import draw_codes, draw_plots, model_palette, write_plots
from genbench.report.plots.likelihood import draw_likelihood
from genbench.report.plots.quality import draw_quality
from genbench.report.plots.separation import draw_separation
from genbench.report.tables import build_tables


def drawn(records):
    tables = build_tables(records)
    palette = model_palette(tables)
    return [plot for table in tables for plot in draw_plots(table, records, palette)]


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def test_every_plot_for_which_there_is_data(records):
    plots = drawn(records)

    assert [plot.file.split("-")[-1] for plot in plots] == [
        "likelihood.png",
        "quality.png",
        "likelihood.png",
        "fidelity.png",
        "separation.png",
    ]
    for plot in plots:
        image = np.asarray(Image.open(io.BytesIO(plot.png)).convert("L"))
        frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (frame == 255).all(), f"{plot.file}: something reaches the border"
        assert image.min() < 100


def test_nothing_to_plot(record):
    assert drawn([record("pca", {"parameters": 3.0}), record("gan", status="failed")]) == []


def test_plotting_leaves_the_users_settings_alone(record):
    before = dict(mpl.rcParams)
    assert drawn([record("vae", {"bits_per_dim": 2.0})])
    assert dict(mpl.rcParams) == before


def test_files_are_named_safely_and_apart(record, tmp_path):
    data = "../mnist[binarize=dynamic]"
    plots = drawn([record("vae", {"bits_per_dim": 2.0}, data=data, budget=budget) for budget in ("5s", "9s")])

    paths = write_plots(plots, tmp_path)

    assert len(set(paths)) == 2
    assert all(path.parent == tmp_path / "plots" and path.name.startswith("mnist-binarize-dynamic-") for path in paths)
    assert sorted(path.read_bytes() for path in paths) == sorted(plot.png for plot in plots)


def test_models_keep_their_colour(record):
    budgets = ("5s", "9s")
    tables = build_tables([record(f"m{i}", {"fid": 1.0}, budget=budget) for i in range(12) for budget in budgets])
    palette = model_palette(tables)

    assert len(palette) == len(set(palette.values())) == 12


def test_bars_tell_failed_from_not_applicable(records):
    table = build_tables(records)[1]
    figure = draw_likelihood(table, model_palette([table])).figure

    ax = figure.axes[0]
    rows = {label.get_text(): tick for label, tick in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
    said = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert said["diverged"] == rows["dcgan"]
    assert said["– not applicable"] == rows["ae"]
    assert said["≤2.027 ±0.052"] == rows["vae[latent_dim=16]"] == 0
    widths = {round(patch.get_y() + patch.get_height() / 2): patch.get_width() for patch in ax.patches}
    assert widths[rows["realnvp"]] == pytest.approx(2.11)
    baseline = next(line for line in ax.lines if line.get_linestyle() == "--")
    assert baseline.get_xdata()[0] == 2.42


def test_quality_has_a_line_per_run_and_cuts_what_flattens_it(records):
    table = build_tables(records)[1]
    by_key = {record.key: record for record in records}
    figure = draw_quality(table, by_key, model_palette([table])).figure

    ax = figure.axes[0]
    runs = [record for record in records if record.curve]
    lines = [line for line in ax.lines if len(line.get_xdata())]
    assert len(lines) == len(runs) == 6
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "training time spent (s)"
    assert 6 < ax.get_ylim()[1] < 30
    assert "dcgan (diverged)" in texts(figure)


def test_separation_puts_pca_beside_the_code(records):
    table = build_tables(records)[1]
    figure = draw_separation(table).figure

    knn = figure.axes[0]
    names = [label.get_text() for label in knn.get_yticklabels()]
    middle = {patch: round(patch.get_y() + patch.get_height() / 2, 1) for patch in knn.patches}
    bars = {(y, round(patch.get_width(), 3)) for patch, y in middle.items() if patch.get_width() > 0}
    row = names.index("realnvp")
    assert {(row - 0.2, 0.96), (row + 0.2, 0.95)} <= bars


def test_any_label_can_be_drawn(record):
    labels = ["$x_1$ [a]", "_hidden", "模型", "a" * 80, f"vae[{','.join(f'o{i}=1' for i in range(20))}]"]
    numbers = {"bits_per_dim": 2.0, "fid": 3.0, "sample_images_per_s": 10.0, "knn_accuracy": 0.9, "knn_vs_pca": 0.1}
    records = [record(label, numbers, curve=[3.0, 2.0]) for label in labels]

    assert len(drawn(records)) == 4
    table = build_tables(records)[0]
    by_key = {record.key: record for record in records}
    legend = draw_quality(table, by_key, model_palette([table])).figure.axes[0].get_legend()
    assert len(legend.get_texts()) == len(labels)


@pytest.mark.parametrize("classes", [1, 3, 10, 40])
def test_codes_of_any_number_of_classes(record, classes):
    table = build_tables([record("vae", {"knn_accuracy": 0.9})])[0]
    rng = np.random.default_rng(0)
    codes = {"code_2d": rng.normal(size=(80, 2)), "pca_2d": rng.normal(size=(80, 2)), "y": np.arange(80) % classes}

    plot = draw_codes(table, table.rows[0], codes, 8)

    assert "codes-vae" in plot.file
    assert Image.open(io.BytesIO(plot.png)).width > 500
