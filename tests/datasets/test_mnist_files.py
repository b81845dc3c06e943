import gzip
import hashlib
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision

from genbench.data import SPLITS, DataSpec, cache_folder
from genbench.errors import GenbenchError
from genbench_datasets.mnist import MNIST, FashionMNIST
from genbench_datasets.shuffle import fixed_order

SIZES = {"train": 60, "t10k": 20}


def idx(array: np.ndarray) -> bytes:
    """The array as an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.tobytes()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def contents() -> dict[str, bytes]:
    """Four small files of MNIST's form."""
    rng = np.random.RandomState(0)
    files = {}
    for part, n in SIZES.items():
        files[f"{part}-images-idx3-ubyte"] = idx(rng.randint(0, 256, (n, 28, 28), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(n, dtype=np.uint8) % 10)
    return files


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let the small files pass for MNIST, except where a test is about the real ones."""
    if request.node.get_closest_marker("mnist") is None:
        contents = request.getfixturevalue("contents")
        monkeypatch.setattr(MNIST, "checksums", {name: md5(content) for name, content in contents.items()})
        monkeypatch.setattr(MNIST, "validation", 10)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise urllib.error.URLError("the network is down")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def write(root: Path, contents: dict[str, bytes], folder: str = "MNIST") -> Path:
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for name, content in contents.items():
        (raw / name).write_bytes(content)
    return raw


def source(cache: Path) -> MNIST:
    return MNIST(MNIST.Config(), cache)


def test_files_in_the_cache_are_used_offline(tmp_path: Path, contents: dict[str, bytes], no_network: None) -> None:
    write(tmp_path, contents)
    dataset = source(tmp_path).load()
    assert dataset.spec == DataSpec((1, 28, 28), "discrete", levels=256, num_classes=10)
    assert [len(getattr(dataset, name)) for name in SPLITS] == [50, 10, 20]


def test_images_keep_their_orientation_and_labels(tmp_path: Path, contents: dict[str, bytes]) -> None:
    write(tmp_path, contents)
    dataset = source(tmp_path).load()
    images = np.frombuffer(contents["train-images-idx3-ubyte"], np.uint8, offset=16).reshape(60, 1, 28, 28)
    assert np.array_equal(dataset.train.x, images[fixed_order(50)])
    assert np.array_equal(dataset.train.y, fixed_order(50) % 10)
    assert np.array_equal(dataset.validation.x, images[50 + fixed_order(10)])


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda content: content[:-1] + b"\xff"])
def test_a_damaged_file_is_named_with_both_checksums(
    tmp_path: Path, contents: dict[str, bytes], damage: Callable[[bytes], bytes], no_network: None
) -> None:
    name = "t10k-images-idx3-ubyte"
    bad = damage(contents[name])
    raw = write(tmp_path, contents | {name: bad})
    with pytest.raises(GenbenchError) as caught:
        source(tmp_path).load()
    message = str(caught.value)
    assert str(raw / name) in message
    assert md5(bad) in message
    assert md5(contents[name]) in message
    assert "delete it" in message
    assert "\n" not in message
    assert (raw / name).read_bytes() == bad


def test_without_network_and_files_one_line_says_what_to_do(
    tmp_path: Path, no_network: None, capfd: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "a" / "cache"
    with pytest.raises(GenbenchError) as caught:
        source(cache).load()
    message = str(caught.value)
    assert message.startswith("MNIST/raw/train-images-idx3-ubyte and 3 more can't be downloaded into ")
    assert str(cache) in message
    assert "the network is down" in message
    assert "GENBENCH_DATA" in message
    assert "\n" not in message
    assert caught.value.exit_code == 1
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_only_what_is_missing_is_added(
    tmp_path: Path, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write(tmp_path, contents)
    (raw / "t10k-labels-idx1-ubyte").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in raw.iterdir()}
    monkeypatch.setattr(MNIST, "_download", lambda _self, folder: write(folder, contents))
    assert len(source(tmp_path).load().test) == 20
    assert {path.name: path.stat().st_mtime_ns for path in raw.iterdir() if path.name in before} == before
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]


def test_a_download_that_breaks_off_leaves_nothing(
    tmp_path: Path, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_self: MNIST, folder: Path) -> None:
        write(folder, dict(list(contents.items())[:2]))
        raise ConnectionResetError("connection reset by peer")

    monkeypatch.setattr(MNIST, "_download", breaks)
    with pytest.raises(GenbenchError, match="connection reset by peer"):
        source(tmp_path).load()
    assert not list(tmp_path.iterdir())


def test_a_cache_that_is_a_file_is_an_error_that_names_it(tmp_path: Path, no_network: None) -> None:
    cache = tmp_path / "cache"
    cache.write_text("not a folder")
    for folder in (cache, cache / "below"):
        with pytest.raises(GenbenchError, match=rf"{cache} is a file, and data would be kept there; set GENBENCH_DATA"):
            source(folder).load()
    assert cache.read_text() == "not a folder"


def test_packed_files_are_read_as_they_are(tmp_path: Path, contents: dict[str, bytes], no_network: None) -> None:
    write(tmp_path / "plain", contents)
    some = "t10k-labels-idx1-ubyte"
    packed = {f"{name}.gz": gzip.compress(content) for name, content in contents.items() if name != some}
    raw = write(tmp_path / "packed", packed | {some: contents[some]})
    assert source(tmp_path / "packed").load().fingerprint == source(tmp_path / "plain").load().fingerprint
    assert sorted(path.name for path in raw.iterdir()) == sorted([*packed, some])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is damaged: its MD5 checksum unpacked is"),
        (b"no archive", "can't be read .Not a gzipped file"),
        (gzip.compress(bytes(9999))[:-9], "can't be read .Compressed file ended"),
        (gzip.compress(b"other"), "is damaged: its MD5 checksum unpacked is"),
    ],
)
def test_a_damaged_archive_is_named(
    tmp_path: Path, contents: dict[str, bytes], no_network: None, content: bytes, complaint: str
) -> None:
    name = "train-labels-idx1-ubyte"
    write(tmp_path, {key: value for key, value in contents.items() if key != name} | {f"{name}.gz": content})
    with pytest.raises(GenbenchError, match=rf"{name}\.gz {complaint}.*delete"):
        source(tmp_path).load()


def test_a_cache_that_can_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(GenbenchError, match=rf"{tmp_path} can't be read \(Permission denied\); set GENBENCH_DATA"):
        source(tmp_path).load()


class Answer(io.BytesIO):
    """What `urlopen` returns."""

    def __init__(self, url: str, content: bytes) -> None:
        super().__init__(content)
        self.url, self.length = url, len(content)


def test_torchvision_downloads_in_silence(
    tmp_path: Path,
    contents: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    packed = {f"{name}.gz": gzip.compress(content) for name, content in contents.items()}
    resources = [(name, md5(content)) for name, content in packed.items()]
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    monkeypatch.setattr(
        urllib.request,
        "urlopen",
        lambda request: Answer(request.full_url, packed[request.full_url.rpartition("/")[2]]),
    )
    cache = tmp_path / "new" / "cache"
    assert len(source(cache).load().train) == 50
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == sorted(contents)


def test_fashion_mnist_has_a_place_and_checksums_of_its_own(tmp_path: Path, contents: dict[str, bytes]) -> None:
    write(tmp_path, contents, "FashionMNIST")
    with pytest.raises(GenbenchError, match=r"FashionMNIST/raw/train-images-idx3-ubyte is damaged.*f4a8712d7a061bf5"):
        FashionMNIST(FashionMNIST.Config(), tmp_path).load()


def test_fashion_mnist_is_read_as_mnist_is(
    tmp_path: Path, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, contents)
    write(tmp_path, contents, "FashionMNIST")
    monkeypatch.setattr(FashionMNIST, "checksums", MNIST.checksums)
    fashion = FashionMNIST(FashionMNIST.Config(), tmp_path).load()
    assert (fashion.name, fashion.family) == ("fashion-mnist", "fashion-mnist")
    assert fashion.fingerprint == source(tmp_path).load().fingerprint


@pytest.mark.fixed_seed
@pytest.mark.mnist
def test_the_real_mnist_is_what_torchvision_reads() -> None:
    dataset = source(cache_folder()).load()
    assert [len(getattr(dataset, name)) for name in SPLITS] == [50_000, 10_000, 10_000]
    assert dataset.fingerprint == "1a8ee1781a5c12fe"  # a new value is a new benchmark: no old number is comparable
    train, test = (torchvision.datasets.MNIST(cache_folder(), train=train) for train in (True, False))
    order = fixed_order(10_000)
    assert np.array_equal(dataset.test.x[:, 0], test.data.numpy()[order])
    assert np.array_equal(dataset.test.y, test.targets.numpy()[order])
    assert np.array_equal(dataset.validation.x[:, 0], train.data.numpy()[50_000 + order])
    assert np.array_equal(dataset.train.y, train.targets.numpy()[fixed_order(50_000)])
