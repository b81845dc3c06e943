from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from genbench.report import beyond as beyond_tables
from genbench.report.beyond import beyond, quality_lines
from genbench.report.layout import models
from genbench.report.page import write_plots
from genbench.report.plots import draw_plots, model_palette
from genbench.report.plots.drawing import leave_out_minor_ticks
from genbench.report.plots.fidelity import draw_fidelity
from genbench.report.plots.likelihood import draw_likelihood
from genbench.report.plots.quality import draw_quality
from genbench.report.plots.separation import draw_separation
from genbench.report.tables import build_tables


def palette(*tables):
    return model_palette(list(dict.fromkeys(row.label for table in tables for row in models(table))))


def drawn(records):
    tables = build_tables(records)
    colours = palette(*tables)
    return [plot for table in tables for plot in draw_plots(table, beyond(table, records), colours)]


def drawn_quality(table, records):
    lines = quality_lines(table, {record.key: record for record in records})
    return draw_quality(table, lines, palette(table))


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
    colours = palette(*tables)

    assert len(colours) == len(set(colours.values())) == 12


def test_bars_tell_failed_from_not_applicable(records):
    table = build_tables(records)[1]
    figure = draw_likelihood(table, palette(table)).figure

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
    figure = drawn_quality(table, records).figure

    ax = figure.axes[0]
    runs = [record for record in records if record.curve]
    lines = [line for line in ax.lines if len(line.get_xdata())]
    assert len(lines) == len(runs) == 6
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "training time spent (s)"
    assert 6 < ax.get_ylim()[1] < 30
    assert "dcgan (diverged)" in texts(figure)


@pytest.mark.parametrize(("last", "labelled"), [(5.0, True), (50.0, False)])
def test_a_long_logarithmic_axis_has_no_minor_ticks_and_a_short_one_labels_them(last, labelled):
    ax = Figure().subplots()
    ax.plot([1.0, last], [0.0, 1.0])
    ax.set_xscale("log")
    leave_out_minor_ticks(ax.xaxis)

    assert any(label.get_text() for label in ax.xaxis.get_ticklabels(minor=True)) == labelled


def test_separation_puts_pca_beside_the_code(records):
    table = build_tables(records)[1]
    figure = draw_separation(table).figure

    knn = figure.axes[0]
    names = [label.get_text() for label in knn.get_yticklabels()]
    middle = {patch: round(patch.get_y() + patch.get_height() / 2, 1) for patch in knn.patches}
    bars = {(y, round(patch.get_width(), 3)) for patch, y in middle.items() if patch.get_width() > 0}
    row = names.index("realnvp")
    assert {(row - 0.2, 0.96), (row + 0.2, 0.95)} <= bars
    assert "difference: ~0.010 ±0.020" in texts(figure)


def test_any_label_can_be_drawn(record):
    labels = ["$x_1$ [a]", "_hidden", "模型", "a" * 80, f"vae[{','.join(f'o{i}=1' for i in range(20))}]"]
    numbers = {"bits_per_dim": 2.0, "fid": 3.0, "sample_images_per_s": 10.0, "knn_accuracy": 0.9, "knn_vs_pca": 0.1}
    records = [record(label, numbers, curve=[3.0, 2.0]) for label in labels]

    assert len(drawn(records)) == 4
    table = build_tables(records)[0]
    legend = drawn_quality(table, records).figure.axes[0].get_legend()
    assert len(legend.get_texts()) == len(labels)


def fidelity(runs, *, real=None):
    """The axes of FID against speed, and the caption; `real` is the reference row's value."""
    table = build_tables(runs + ([real] if real else []))[0]
    drawing = draw_fidelity(table, palette(table))
    drawing.figure.canvas.draw()
    return drawing.figure.axes[0], drawing.caption


def bars(ax) -> set[tuple[tuple[float, float], ...]]:
    """The ends of the error bars of the axes."""
    return {
        tuple((round(float(x), 4), round(float(y), 4)) for x, y in segment)
        for collection in ax.collections
        if isinstance(collection, mpl.collections.LineCollection)
        for segment in collection.get_segments()
        if len(segment)
    }


def test_fidelity_draws_the_interval_of_each_value_and_marks_flags(record, number):
    runs = [
        record("a", [number("fid", 10.0, interval=(9.0, 14.0)), number("sample_images_per_s", 100.0)]),
        record("b", [number("fid", 20.0, flags=("few points",)), number("sample_images_per_s", 120.0, stderr=5.0)]),
    ]
    ax, caption = fidelity(runs)

    assert ((100.0, 9.0), (100.0, 14.0)) in bars(ax)
    assert ((round(120 - 9.7998, 4), 20.0), (round(120 + 9.7998, 4), 20.0)) in bars(ax)
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("‡", (120.0, 20.0))]
    assert "‡ flagged" in caption
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("floor", [-0.4, 0.0, 0.35])
def test_a_floor_near_zero_does_not_flatten_the_models(record, number, floor):
    real = record("real (test split)", [number("fid", floor, interval=(floor - 0.3, floor + 0.3))], family="reference")
    fids = {"a": 3.0, "b": 9.0, "c": 400.0}
    runs = [record(label, {"fid": fid, "sample_images_per_s": 100.0}) for label, fid in fids.items()]
    ax, caption = fidelity(runs, real=real)

    low, high = ax.get_ylim()
    assert low < floor - 0.3
    assert high > 400
    place = {y: ax.transAxes.inverted().transform(ax.transData.transform((100.0, y)))[1] for y in (floor, 3, 9, 400)}
    heights = sorted(place.values())
    assert min(np.diff(heights)) > 0.1
    assert 0 < heights[0] < heights[-1] < 1
    assert "linear up to 3 and logarithmic above" in caption
    shown_ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
    assert len(shown_ticks) >= 4


def test_models_close_together_have_a_linear_axis(record, number):
    real = record("real (test split)", [number("fid", -0.1, stderr=0.1)], family="reference")
    runs = [record(label, {"fid": fid, "sample_images_per_s": 9.0}) for label, fid in (("a", 4.0), ("b", 7.0))]
    ax, caption = fidelity(runs, real=real)

    assert (ax.get_yscale(), "logarithmic" in caption) == ("linear", False)
    assert ax.get_ylim()[0] < -0.1


@pytest.mark.parametrize("fid", [-0.2, 0.0, 1e-9, 1e6])
def test_one_model_with_any_fid_can_be_drawn(record, number, fid):
    wide = number("fid", fid, interval=(fid - 5000.0, fid + 5000.0))
    ax, _ = fidelity([record("a", [wide, number("sample_images_per_s", 100.0)])])

    assert ax.get_ylim()[0] < fid < ax.get_ylim()[1]


@pytest.mark.parametrize("speeds", [(100.0, 110.0), (100.0, 900.0), (20e3, 700e3), (1.0, 1e6)])
def test_the_axis_of_speed_has_ticks(record, speeds):
    runs = [record(f"m{speed}", {"fid": 1.0, "sample_images_per_s": speed}) for speed in speeds]
    ax, _ = fidelity(runs)

    low, high = ax.get_xlim()
    assert low < speeds[0] < speeds[1] < high
    assert 2 <= sum(low <= tick <= high for tick in ax.get_xticks()) <= 12


@pytest.fixture
def annealed(record, number):
    """A VAE with a bound of its own, a GAN with none, an energy model with bounds from both sides: 64 dimensions."""
    scale = 1 / (64 * np.log(2))

    def ais(nats, **options):
        return [
            number("ais_bits_per_dim", -nats * scale, stderr=0.5 * scale),
            number("ais_log_likelihood", nats, stderr=0.5),
            *options.get("more", []),
        ]

    upper = number("ais_log_likelihood_upper", -95.0, stderr=0.6)
    return [
        record("vae", [number("bits_per_dim", 2.5, stderr=0.01), *ais(-110.0)]),
        record("dcgan", ais(-140.0), family="gan"),
        record("rbm", ais(-100.0, more=[upper]), family="ebm"),
    ]


def test_bounds_by_ais_stand_beside_bars_and_point_to_the_truth(annealed):
    table = build_tables(annealed)[0]
    drawing = draw_likelihood(table, palette(table))

    ax = drawing.figure.axes[0]
    rows = {label.get_text(): tick for label, tick in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
    bits = 1 / (64 * np.log(2))
    pointers = {float(line.get_xdata()[0]): line for line in ax.lines if line.get_marker() == "<"}
    assert sorted(pointers) == pytest.approx([110 * bits, 140 * bits])
    assert pointers[max(pointers)].get_ydata()[0] == rows["dcgan"]
    assert rows["vae"] < pointers[min(pointers)].get_ydata()[0] < rows["vae"] + 0.5
    (bracket,) = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 2]
    assert list(bracket.get_xdata()) == pytest.approx([100 * bits, 95 * bits])
    assert list(bracket.get_ydata()) == [rows["rbm"]] * 2
    said = texts(drawing.figure)
    assert "≤2.500 ±0.020\nAIS ≤2.480 ±0.022" in said
    assert "AIS ≥2.142 ±0.027, ≤2.254 ±0.022" in said
    assert "AIS from both sides: the truth lies between" in said
    assert "– not applicable" not in said
    assert "annealed importance sampling" in drawing.caption


def test_in_nats_a_lower_bound_points_up(record, number):
    runs = [record("gan", [number("ais_log_likelihood", -140.0, stderr=1.0)])]
    table = build_tables(runs)[0]
    figure = draw_likelihood(table, palette(table)).figure

    ax = figure.axes[0]
    assert [line.get_marker() for line in ax.lines if line.get_xdata()[0] == -140.0].count(">") == 1
    assert ax.get_xlabel() == "ais_log_likelihood, test data (nats ↑)"


def test_without_ais_nothing_is_said_of_it(records):
    table = build_tables(records)[1]
    drawing = draw_likelihood(table, palette(table))

    assert "AIS" not in drawing.caption
    assert not any("AIS" in text for text in texts(drawing.figure))
    assert drawing.figure.axes[0].get_legend() is None


def test_the_lines_of_many_runs_are_means_over_seeds(record, monkeypatch):
    runs = [record("vae", {"bits_per_dim": 2.0}, seed=seed, curve=[4.0 + seed, 3.0 + seed]) for seed in range(4)]
    (table,) = build_tables(runs)
    lines = drawn_quality(table, runs).figure.axes[0].lines
    assert sum(len(line.get_xdata()) == 2 for line in lines) == 4
    monkeypatch.setattr(beyond_tables, "LINES", 3)
    drawing = drawn_quality(table, runs)
    (line,) = [line for line in drawing.figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert line.get_ydata().tolist() == [5.5, 4.5]
    assert "the mean of its runs" in drawing.caption
