from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from genbench.report.beyond import beyond, collapse_levels
from genbench.report.layout import models
from genbench.report.plots import draw_plots, model_palette
from genbench.report.plots.collapse import FLOOR, draw_collapse
from genbench.report.tables import build_tables
from genbench.results.schema import Value


def level(kls, active):
    return {"variables": len(kls), "active_units": active, "kl": sum(kls), "kl_by_variable": kls}


def collapsed(*levels):
    return Value(
        **{
            "name": "kl",
            "metric": "collapse",
            "value": 1.0,
            "stderr": 0.1,
            "kind": "estimate",
            "better": "neither",
            "unit": "nats",
            "protocol": "p",
            "settings": {"n": 360, "draws": 16, "levels": list(levels)},
        }
    )


@pytest.fixture
def runs(record):
    flat = [5.0, 3.0, 1.0, 0.2, 0.01, 0.0]
    return [
        record("vae", [collapsed(level(flat, 4))]),
        record("vae", [collapsed(level([3.0, 3.0, 1.0, 0.2, 0.01, 0.0], 5))], seed=1),
        record("ladder_vae", [collapsed(level([2.0, 0.5], 2), level([4.0, 3.0, -0.01, 0.0], 2))]),
        record("dcgan", status="failed", family="gan"),
        record("realnvp", {"bits_per_dim": 2.0}, family="flow"),
    ]


def palette(*tables):
    return model_palette(list(dict.fromkeys(row.label for table in tables for row in models(table))))


def drawn(records):
    (table,) = build_tables(records)
    levels = collapse_levels(table, {record.key: record for record in records})
    return draw_collapse(table, levels, palette(table))


def test_a_line_per_model_and_level(runs):
    ax = drawn(runs).figure.axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines) == ["ladder_vae, level 2: 2 / 2", "ladder_vae, level 1: 2 / 4", "vae: 4.5 / 6"]
    np.testing.assert_allclose(lines["vae: 4.5 / 6"].get_ydata(), [4.0, 3.0, 1.0, 0.2, 0.01, FLOOR])
    np.testing.assert_allclose(lines["ladder_vae, level 1: 2 / 4"].get_ydata(), [4.0, 3.0, FLOOR, FLOOR])
    assert list(lines["ladder_vae, level 2: 2 / 2"].get_xdata()) == [1, 2]
    upper, lower, vae = lines.values()
    assert upper.get_color() == lower.get_color() != vae.get_color()
    assert vae.get_linestyle() == lower.get_linestyle() == "-" != upper.get_linestyle()
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(lines)


def test_levels_are_explained_where_there_are_several(runs):
    assert "Level 1 is next to the data" in drawn(runs).caption
    assert "Level" not in drawn(runs[:1]).caption


def test_seeds_of_another_size_are_left_out(runs, record):
    changed = record("vae", [collapsed(level([1.0], 1))], seed=2)
    assert [len(line.get_xdata()) for line in drawn([*runs[:1], changed]).figure.axes[0].lines] == [6]


def test_nothing_is_drawn_without_a_posterior(runs):
    (table,) = build_tables(runs[3:])
    assert collapse_levels(table, {run.key: run for run in runs}) == {}


@pytest.mark.parametrize("label", ["$x_1$ [a]", "_hidden", "模型", "a" * 80])
def test_any_model_can_be_drawn(record, label):
    records = [record(label, [collapsed(level([0.0], 0))])]
    assert len(drawn(records).figure.axes[0].get_legend().get_texts()) == 1


def test_nothing_is_cut_off(runs):
    (table,) = build_tables(runs)
    plots = {plot.file.split("-")[-1]: plot for plot in draw_plots(table, beyond(table, runs), palette(table))}
    image = np.asarray(Image.open(io.BytesIO(plots["collapse.png"].png)).convert("L"))
    frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (frame == 255).all()
    assert image.min() < 100
