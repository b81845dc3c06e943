import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from genbench.data import SPLITS, Dataset, DataSpec
from genbench.errors import GenbenchError, UsageError
from genbench_datasets.folder import Folder


def load(path: Path, **options: object) -> Dataset:
    return Folder(Folder.Config(path=path, **options), Path("unused")).load()


def paint(path: Path, colour: tuple[int, int, int] = (0, 0, 0), size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def twenty(tmp_path: Path) -> Path:
    """Twenty one-coloured images; number i has the red value 10 i."""
    for i in range(20):
        paint(tmp_path / f"{i:02d}.png", (10 * i, 0, 0))
    return tmp_path


def reds(dataset: Dataset, name: str) -> list[int]:
    return getattr(dataset, name).x[:, 0, 0, 0].tolist()


def test_spec_sizes_and_every_image_in_one_split(twenty: Path) -> None:
    dataset = load(twenty, size=8)
    assert dataset.spec == DataSpec((3, 8, 8), "discrete", levels=256)
    assert [len(getattr(dataset, name)) for name in SPLITS] == [16, 2, 2]
    assert sorted(red for name in SPLITS for red in reds(dataset, name)) == [10 * i for i in range(20)]


def test_the_split_depends_on_names_alone(twenty: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    dataset = load(twenty, size=8)
    assert reds(dataset, "test") == [30, 60]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in sorted(twenty.iterdir(), reverse=True):
        (elsewhere / path.name).write_bytes(path.read_bytes())
    assert load(elsewhere, size=8).fingerprint == dataset.fingerprint


def test_sub_folders_are_classes_in_alphabetical_order(tmp_path: Path) -> None:
    for i in range(6):
        paint(tmp_path / "dogs" / f"{i}.png", (200, 0, 0))
        paint(tmp_path / "cats" / "young" / f"{i}.JPG", (100, 0, 0))
    dataset = load(tmp_path, size=8)
    assert dataset.spec.num_classes == 2
    for name in SPLITS:
        split = getattr(dataset, name)
        assert np.array_equal(split.y, (split.x[:, 0, 0, 0] > 150).astype(np.int64))


def test_images_beside_sub_folders_or_in_only_one_have_no_classes(twenty: Path, tmp_path: Path) -> None:
    paint(twenty / "more" / "one.png")
    assert load(twenty, size=8).spec.num_classes is None
    for path in twenty.glob("*.png"):
        path.rename(twenty / "more" / path.name)
    assert load(twenty, size=8).spec.num_classes is None


def test_what_is_no_image_by_its_suffix_is_passed_over(twenty: Path) -> None:
    (twenty / "notes.txt").write_text("not an image")
    (twenty / "folder.png").mkdir()
    assert sum(len(getattr(load(twenty, size=8), name)) for name in SPLITS) == 20


def only_image(path: Path, **options: object) -> np.ndarray:
    """What a folder of ten copies of this image makes of it."""
    for i in range(9):
        (path.parent / f"copy{i}{path.suffix}").write_bytes(path.read_bytes())
    x = load(path.parent, **options).train.x
    assert (x == x[0]).all()
    return x[0]


def test_the_centre_is_cropped_and_orientation_kept(tmp_path: Path) -> None:
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, :4] = wide[:, 12:] = 255  # cropped away
    wide[:4, 4:12, 1] = 200  # the upper half, green
    wide[:, 4:8, 2] = 100  # the left half, blue
    Image.fromarray(wide).save(tmp_path / "wide.png")
    x = only_image(tmp_path / "wide.png", size=8)
    assert np.array_equal(x, wide[:, 4:12].transpose(2, 0, 1))


def test_images_are_resized_with_antialiasing(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    x = only_image(tmp_path / "stripes.png", size=8)
    assert np.abs(x.astype(int) - 100).max() < 20  # picking every fourth column would give 0 or 200 throughout


def test_grey_is_one_channel(tmp_path: Path) -> None:
    x = only_image(paint(tmp_path / "red.png", (255, 0, 0)), size=8, channels=1)
    assert x.shape == (1, 8, 8)
    assert (x == 76).all()  # ITU-R 601 luma of pure red


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK"])
def test_eight_bit_images_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / "white.tiff")
    assert (only_image(tmp_path / "white.tiff", size=8) == 255).all()


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    sideways = np.zeros((8, 8, 3), np.uint8)
    sideways[:, :4] = 255  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise, which brings the left to the top
    Image.fromarray(sideways).save(tmp_path / "photo.png", exif=exif)
    x = only_image(tmp_path / "photo.png", size=8)
    assert (x[:, :4] == 255).all()
    assert (x[:, 4:] == 0).all()


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_an_unreadable_image_is_named(twenty: Path, content: bytes | None) -> None:
    path = twenty / "bad.png"
    whole = (twenty / "00.png").read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(GenbenchError, match=r"bad\.png can't be read as an image") as caught:
        load(twenty)
    assert "\n" not in str(caught.value)


def test_sixteen_bits_are_refused_rather_than_clipped(twenty: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(twenty / "deep.png")
    with pytest.raises(GenbenchError, match=r"deep\.png has more than 8 bits a channel"):
        load(twenty)


def test_a_missing_folder_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"path=.*nowhere is no folder"):
        load(tmp_path / "nowhere")


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(GenbenchError, match=r"holds no images \(\.bmp, .*at least 10"):
        load(tmp_path)


def test_too_few_images_are_counted(tmp_path: Path) -> None:
    for i in range(9):
        paint(tmp_path / f"{i}.png")
    with pytest.raises(GenbenchError, match="holds 9 images"):
        load(tmp_path)


def fill(folder: Path, n: int = 10) -> Path:
    for i in range(n):
        paint(folder / f"{i}.png", (i, 0, 0))
    return folder


def size(dataset: Dataset) -> int:
    return sum(len(getattr(dataset, name)) for name in SPLITS)


HIDDEN = [".ipynb_checkpoints", ".thumbnails", "__MACOSX", "@eaDir", "cats/.cache"]


def test_hidden_files_and_folders_are_no_data(tmp_path: Path) -> None:
    for name in ("cats", "dogs", *HIDDEN):
        fill(tmp_path / name)
    paint(tmp_path / "cats" / "._0.png")
    paint(tmp_path / ".DS_Store.png")
    dataset = load(tmp_path, size=8)
    assert dataset.spec.num_classes == 2
    assert size(dataset) == 20
    assert dataset.found == "20 images in 2 classes (cats 10, dogs 10)"


def test_a_folder_in_a_hidden_one_is_read(tmp_path: Path) -> None:
    assert size(load(fill(tmp_path / ".data" / "mine"), size=8)) == 10


def test_what_was_found_is_said(twenty: Path) -> None:
    assert load(twenty, size=8).found == "20 images without classes"
    (twenty / "notes.txt").write_text("not an image")
    (twenty / "labels.csv").write_text("1,2")
    assert load(twenty, size=8).found == "20 images without classes, 2 files with other suffixes passed over"


def test_of_many_classes_a_few_are_named(tmp_path: Path) -> None:
    for i in range(7):
        fill(tmp_path / f"c{i}", 2)
    assert load(tmp_path, size=8).found == "14 images in 7 classes (c0 2, c1 2, c2 2, c3 2, c4 2, 2 more)"


def test_links_are_followed_once_and_loops_cut(tmp_path: Path) -> None:
    root = tmp_path / "root"
    fill(tmp_path / "elsewhere" / "cats")
    fill(tmp_path / "elsewhere" / "dogs")
    fill(root / "birds")
    for kind in ("cats", "dogs"):
        (root / kind).symlink_to(tmp_path / "elsewhere" / kind)
    (root / "again").symlink_to(tmp_path / "elsewhere" / "cats")  # the same images twice would leak into the test split
    (root / "aviary").symlink_to("birds")
    (root / "self").symlink_to(".")
    (root / "above").symlink_to("..")
    (root / "birds" / "up").symlink_to("..")
    (tmp_path / "elsewhere" / "cats" / "back").symlink_to("../dogs")
    (root / "birds" / "10.png").symlink_to("../../elsewhere/cats/0.png")
    dataset = load(root, size=8)
    assert dataset.found == "31 images in 3 classes (again 10, birds 11, dogs 10)"


@pytest.mark.parametrize("name", ["gone.png", "gone"])
def test_a_link_that_leads_nowhere_is_named(twenty: Path, name: str) -> None:
    (twenty / name).symlink_to("nowhere")
    with pytest.raises(GenbenchError, match=rf"{name} is a link that leads nowhere"):
        load(twenty, size=8)
    (twenty / name).unlink()
    (twenty / name).symlink_to(name)
    with pytest.raises(GenbenchError, match=rf"{name} is a link that leads nowhere"):
        load(twenty, size=8)


def test_an_empty_folder_is_no_class(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        fill(tmp_path / name)
    (tmp_path / "birds").mkdir()
    assert load(tmp_path, size=8).spec.num_classes == 2


def test_what_is_no_file_is_passed_over_without_waiting(twenty: Path) -> None:
    os.mkfifo(twenty / "pipe.png")
    assert size(load(twenty, size=8)) == 20


def test_a_folder_that_can_not_be_read_is_named(twenty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = twenty / "locked"
    locked.mkdir()
    scan = os.scandir

    def refuse(path: Path) -> object:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(GenbenchError, match=r"locked can't be read \(Permission denied\)"):
        load(twenty, size=8)


def test_names_that_are_not_utf_8_are_read(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    fill(odd)
    fill(tmp_path / "dogs")
    paint(Path(os.fsdecode(os.fsencode(odd) + b"/\xff.png")))
    dataset = load(tmp_path, size=8)
    assert dataset.found == "21 images in 2 classes (caf\\xe9 11, dogs 10)"
    assert dataset.fingerprint == load(tmp_path, size=8).fingerprint
    config = Folder.Config(path=odd)
    assert config.model_dump(mode="json")["path"] == f"file:{tmp_path}/caf%E9"
    assert Folder.Config.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(UsageError) as error:
        load(Path(f"{odd}\udcff"))
    assert "caf\\xe9\\xff is no folder" in str(error.value)


def test_fingerprints_are_what_they_were(twenty: Path) -> None:
    assert load(twenty, size=8).fingerprint == "7892728b7ecf2546"  # a new value is a new benchmark


@pytest.mark.parametrize("options", [{}, {"path": ".", "size": 2}, {"path": ".", "channels": 2}])
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(ValidationError):
        Folder.Config(**options)
