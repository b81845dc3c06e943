import hashlib
import pickle
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from genbench.data import SPLITS, DataSpec
from genbench.errors import GenbenchError
from genbench_datasets.cifar10 import CIFAR10, FOLDER
from genbench_datasets.shuffle import fixed_order

NAMES = [*CIFAR10.train_checksums, *CIFAR10.test_checksums]
PER_BATCH = 4


@pytest.fixture
def images() -> np.ndarray:
    """Images of all batches in order, `(24, 3, 32, 32)`."""
    return np.random.RandomState(0).randint(0, 256, (len(NAMES) * PER_BATCH, 3, 32, 32), dtype=np.uint8)


@pytest.fixture
def cache(tmp_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with small batches that pass for CIFAR-10's; the label of image i is i modulo 10."""
    (tmp_path / FOLDER).mkdir()
    found = {}
    for i, name in enumerate(NAMES):
        rows = range(i * PER_BATCH, (i + 1) * PER_BATCH)
        batch = {b"data": images[rows].reshape(PER_BATCH, -1), b"labels": [row % 10 for row in rows]}
        content = pickle.dumps(batch, protocol=2)
        (tmp_path / FOLDER / name).write_bytes(content)
        found[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_checksums", {name: found[name] for name in CIFAR10.train_checksums})
    monkeypatch.setattr(CIFAR10, "test_checksums", {name: found[name] for name in CIFAR10.test_checksums})
    monkeypatch.setattr(CIFAR10, "validation", 5)
    return tmp_path


def source(cache: Path) -> CIFAR10:
    return CIFAR10(CIFAR10.Config(), cache)


def test_batches_in_the_cache_are_used(cache: Path, images: np.ndarray) -> None:
    dataset = source(cache).load()
    assert dataset.spec == DataSpec((3, 32, 32), "discrete", levels=256, num_classes=10)
    assert [len(getattr(dataset, name)) for name in SPLITS] == [15, 5, 4]
    assert np.array_equal(dataset.train.x, images[fixed_order(15)])
    assert np.array_equal(dataset.validation.x, images[15 + fixed_order(5)])
    assert np.array_equal(dataset.test.x, images[20 + fixed_order(4)])
    assert np.array_equal(dataset.test.y, (20 + fixed_order(4)) % 10)


def test_a_damaged_batch_is_never_unpickled(cache: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (pytest.fail, ("the damaged file was unpickled",))

    path = cache / FOLDER / "data_batch_3"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(GenbenchError, match=rf"{path} is damaged: .*{CIFAR10.train_checksums['data_batch_3']}"):
        source(cache).load()


def test_the_published_archive_is_unpacked(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with tarfile.open(elsewhere / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(cache / FOLDER, FOLDER)
    assert source(elsewhere).load().fingerprint == source(cache).load().fingerprint
    assert sorted(path.name for path in elsewhere.iterdir()) == [FOLDER, "cifar-10-python.tar.gz"]


@pytest.mark.parametrize("content", [b"", b"no archive", "of another", "cut short"])
def test_a_damaged_archive_is_named_and_nothing_kept(cache: Path, content: bytes | str) -> None:
    path = cache / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(cache / FOLDER, "another" if content == "of another" else FOLDER)
    if content != "of another":
        path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:9000])
    shutil.rmtree(cache / FOLDER)
    with pytest.raises(GenbenchError, match=rf"{path} can't be unpacked \(.*\); delete or mend it"):
        source(cache).load()
    assert list(cache.iterdir()) == [path]


def test_without_network_the_missing_file_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise urllib.error.URLError("the network is down")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    (cache / FOLDER / "test_batch").unlink()
    with pytest.raises(GenbenchError, match=rf"^{FOLDER}/test_batch can't be .*the network is down"):
        source(cache).load()


def test_the_published_checksums_are_torchvisions() -> None:
    from torchvision.datasets import CIFAR10 as Theirs  # noqa: N811  # the same data set

    assert CIFAR10.train_checksums == dict(Theirs.train_list)
    assert CIFAR10.test_checksums == dict(Theirs.test_list)
    assert Theirs.base_folder == FOLDER
