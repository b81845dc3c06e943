"""What runs leave as pictures, in the report: galleries, rows of several models, one figure of all codes."""

import io
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from reports import write_report

from genbench.report.page import GALLERIES
from genbench.report.plots.latents import Codes, draw_latents, latents
from genbench.report.plots.rows import draw_rows
from genbench.report.tables import build_tables
from genbench.results.store import Store
from genbench.runner.draft import ARTIFACTS

PICTURES = {purpose: ARTIFACTS[purpose] for purpose, *_ in GALLERIES}


def rows_of(shade, count=4, channels=1):
    """What a run leaves whose reconstructions have this shade."""
    x = np.random.default_rng(0).integers(0, 256, (count, channels, 8, 8), dtype=np.uint8)
    rest = np.full_like(x, shade)
    return {"x": x, "reconstructed": rest, "noisy": 255 - x, "restored": rest}


@pytest.fixture
def written(record, fill_folder, tmp_path):
    """Writes the report of runs with these `rows`, by label; gives the page and the paths."""

    def write(rows):
        runs = [record(label, {"fid": 1.0}, artifacts={**PICTURES, "rows": "rows.npz"}) for label in rows]
        fill_folder(tmp_path, runs)
        for run, arrays in zip(runs, rows.values(), strict=True):
            if arrays is not None:
                np.savez_compressed(Store(tmp_path).folder(run.key) / "rows.npz", **arrays)
        paths = write_report(runs, [], tmp_path)
        return paths[-1].read_text(encoding="utf-8"), paths[:-1]

    return write


def test_every_kind_of_picture_has_a_gallery_that_is_folded_away_but_for_samples(written):
    page, _ = written({"vae": None, "ae": None})

    titles = re.findall(r'<details class="pictures"( open)?>\s*<summary><h3>([^<]*)</h3>', page)
    assert titles == [
        (" open", "Samples"),
        ("", "Reconstructions"),
        ("", "Latent manifold"),
        ("", "Interpolation"),
        ("", "Traversal"),
        ("", "Attribute arithmetic"),
    ]
    assert page.count("<figcaption>vae</figcaption>") == page.count("<figcaption>ae</figcaption>") == len(GALLERIES)
    assert page.count("<details") == page.count("</details>")


def test_models_without_a_picture_are_named(record, fill_folder, tmp_path):
    runs = [record("a", {"fid": 1.0}, artifacts=PICTURES), record("b", {"fid": 1.0})]
    fill_folder(tmp_path, runs)
    page = write_report(runs, [], tmp_path)[-1].read_text(encoding="utf-8")
    assert page.count("No picture: b.") == len(GALLERIES)


def test_the_same_images_stand_side_by_side(written):
    page, paths = written({"vae": rows_of(10), "ae": rows_of(200)})

    assert [path.name.rpartition("-")[2] for path in paths][-2:] == ["reconstructions.png", "denoising.png"]
    assert "<h3>Side by side</h3>" in page
    assert "<b>Reconstructions: digits.</b>" in page
    assert "<b>Denoising: digits.</b>" in page


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: {name: array for name, array in rows.items() if name != "noisy"},
        lambda rows: rows | {"x": rows["x"].astype(float)},
        lambda rows: rows | {"x": rows["x"][:2]},
        lambda rows: {name: array[:, 0] for name, array in rows.items()},
        lambda rows: {name: array[:0] for name, array in rows.items()},
        lambda rows: {name: array.repeat(2, 1) for name, array in rows.items()},
        lambda rows: {},
    ],
)
def test_rows_that_are_none_are_not_shown(written, damage):
    page, paths = written({"vae": damage(rows_of(10))})
    assert not any("reconstructions" in path.name for path in paths)
    assert page.count("Without vae: rows.npz is damaged: ") == 1


def test_images_of_another_size_are_not_put_beneath(written):
    _, paths = written({"a": rows_of(10), "b": rows_of(10, count=9)})
    with Image.open(next(path for path in paths if "reconstructions" in path.name)) as one:
        height = one.height
    _, paths = written({"a": rows_of(10), "b": rows_of(10)})
    with Image.open(next(path for path in paths if "reconstructions" in path.name)) as both:
        assert both.height > 1.4 * height


@pytest.fixture
def table(record):
    return build_tables([record("vae", {"knn_accuracy": 0.9})])[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_have_their_images_in_order_and_their_labels_uncut(table, channels):
    shades = [0, 80, 160]
    label = "vae[" + ",".join(f"option_{i}=1" for i in range(6)) + "]"
    rows = [(f"{label}{shade}", np.full((5, channels, 8, 8), shade, np.uint8)) for shade in shades]

    plot = draw_rows(table, rows, "rows", "Rows", "Some rows.")

    image = np.asarray(Image.open(io.BytesIO(plot.png)).convert("RGB"))
    right = image[:, -20, 0]  # through the last image of every row
    assert [shade for shade in right[np.insert(np.diff(right) != 0, 0, True)] if shade in shades] == shades
    frame = np.concatenate([image[0], image[-1], image[:, 0]])
    assert (frame == 255).all()
    assert plot.file.endswith("-rows.png")


def codes(model="vae", label=None, dimension=8, n=60, classes=3, **scores):
    rng = np.random.default_rng(0)
    arrays = {"code_2d": rng.normal(size=(n, 2)), "pca_2d": 2 * rng.normal(size=(n, 2)), "y": np.arange(n) % classes}
    return Codes(label or model, model, {**arrays, **scores}, dimension)


SCORES = {"knn_accuracy": 0.91, "silhouette": 0.21, "pca_knn_accuracy": 0.81, "pca_silhouette": 0.11}


def panels(figure):
    return [ax for ax in figure.axes if ax.axison]


def titles(figure):
    return [ax.get_title() for ax in panels(figure)]


def test_pca_stands_first_with_the_scores_of_as_many_dimensions():
    figure = latents([codes(**SCORES), codes("ae", **SCORES)])
    assert titles(figure) == [
        "PCA\nkNN 0.81, silhouette 0.11 in 8D",
        "vae\nkNN 0.91, silhouette 0.21 in 8D\n(PCA: kNN 0.81, silhouette 0.11)",
        "ae\nkNN 0.91, silhouette 0.21 in 8D\n(PCA: kNN 0.81, silhouette 0.11)",
    ]


def test_of_models_of_several_dimensions_pca_has_no_one_score():
    figure = latents([codes(**SCORES), codes("ae", dimension=2, **SCORES)])
    assert titles(figure)[0] == "PCA"


def test_a_pca_among_the_models_is_not_drawn_twice():
    figure = latents([codes(**SCORES), codes("pca", "pca[latent_dim=8]", **SCORES)])
    assert titles(figure)[0] == "pca[latent_dim=8]\nkNN 0.91, silhouette 0.21 in 8D"
    assert len(titles(figure)) == 2


def test_all_panels_follow_the_same_rules():
    stretched = codes("ae")
    stretched.arrays["code_2d"][:] *= [50, 1]
    figure = latents([codes(), stretched])
    figure.draw_without_rendering()

    colours = []
    for ax in panels(figure):
        (dots,) = ax.collections
        assert set(dots.get_sizes()) == {6}
        colours.append(dots.get_facecolors())
        assert ax.get_aspect() == 1
        width, height = ax.get_window_extent().size
        assert width == pytest.approx(height)
        points = dots.get_offsets()
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert right - left == pytest.approx(top - bottom)
        assert ((points > (left, bottom)) & (points < (right, top))).all(1).mean() > 0.95
    assert all((found == colours[0]).all() for found in colours)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0", "1", "2"]
    box = legend.get_window_extent()
    assert not any(box.overlaps(ax.get_window_extent()) for ax in figure.axes)


def test_a_few_far_points_do_not_press_the_others_together():
    far = codes("ae", n=1000)
    spread = np.ptp(far.arrays["code_2d"], axis=0).max()
    far.arrays["code_2d"][:5] *= 1e4
    for ax in latents([codes("pca", n=1000), far]).axes:
        left, right = ax.get_xlim()
        assert right - left < 2 * spread


@pytest.mark.parametrize(("models", "shape"), [(1, (1, 2)), (3, (1, 4)), (4, (2, 3)), (7, (2, 4)), (8, (3, 3))])
def test_panels_wrap_into_rows(models, shape):
    figure = latents([codes("vae", f"vae{i}") for i in range(models)])
    grid = figure.axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    assert len(panels(figure)) == models + 1


def test_long_labels_overlap_nothing():
    label = "vae[" + ",".join(f"option_{i}=0.123" for i in range(5)) + "]"
    figure = latents([codes("vae", f"{label}{i}", **SCORES) for i in range(6)])
    figure.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in panels(figure)] + [ax.get_window_extent() for ax in panels(figure)]
    overlapping = [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes) if i < j and a.overlaps(b)]
    assert not overlapping


@pytest.mark.parametrize("classes", [1, 3, 10, 40])
def test_codes_of_any_number_of_classes(table, classes):
    plot = draw_latents(table, [codes(n=80, classes=classes)])

    assert plot.file.endswith("-latents.png")
    image = np.asarray(Image.open(io.BytesIO(plot.png)).convert("L"))
    assert image.shape[1] > 500
    assert (np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]) == 255).all()
    assert bool(latents([codes(n=80, classes=classes)]).legends) == (classes <= 20)


def test_codes_that_are_all_the_same_can_be_drawn():
    still = codes()
    still.arrays["code_2d"][:] = 3.0
    figure = latents([still])
    assert isinstance(figure, mpl.figure.Figure)
    assert all(np.isfinite(ax.get_xlim()).all() for ax in panels(figure))


def test_a_page_of_many_models_is_of_sane_size(record, fill_folder, tmp_path):
    runs = [
        record(f"model{i}", {"fid": 1.0}, artifacts={**PICTURES, "codes": "codes.npz", "rows": "rows.npz"})
        for i in range(20)
    ]
    fill_folder(tmp_path, runs)
    for run in runs:
        np.savez_compressed(Store(tmp_path).folder(run.key) / "rows.npz", **rows_of(9, count=10))
    (*_, page) = write_report(runs, [], tmp_path)
    pictures = sum(path.stat().st_size for path in Path(tmp_path).glob("runs/*/*.png"))
    assert page.stat().st_size < 1.4 * pictures + 2_000_000
