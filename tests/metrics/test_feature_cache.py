import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from genbench.metrics import feature_cache
from genbench.metrics.feature_cache import NAME, cached, folder

KEY = {"dataset": "00ff", "split": "train", "n": 3}


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(feature_cache, "WORTHWHILE", 0)


class Compute:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return torch.arange(6, dtype=torch.float64).reshape(3, 2).T / 7


def test_features_are_computed_once_for_a_key_and_come_back_bit_for_bit():
    compute = Compute()
    first, second = cached(KEY, compute), cached(KEY, compute)
    assert compute.calls == 1
    assert torch.equal(first, second)
    assert second.dtype == torch.float64
    cached(KEY | {"n": 4}, compute)
    assert compute.calls == 2
    assert len(list(folder().iterdir())) == 2  # nothing but the two


def test_what_is_made_quickly_is_not_kept(monkeypatch):
    monkeypatch.setattr(feature_cache, "WORTHWHILE", 60)
    compute = Compute()
    cached(KEY, compute)
    cached(KEY, compute)
    assert compute.calls == 2
    assert not folder().exists()


def cut(content):
    return content[:-8]


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [cut, flipped, lambda content: b"", lambda content: b"no tensors at all"])
def test_a_damaged_file_is_made_anew(damage):
    compute = Compute()
    want = cached(KEY, compute)
    (path,) = folder().iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert torch.equal(cached(KEY, compute), want)
    assert compute.calls == 2
    assert path.read_bytes() == content


#: Features of the right shape with other numbers, of another shape, of another type, and none at all.
OTHERS = [
    {},
    {"features": torch.zeros(2, 3)},
    {"features": torch.zeros(2, 3, dtype=torch.float64)},
    {"features": torch.arange(6, dtype=torch.float64).reshape(3, 2) / 7},
    {"features": torch.full((2, 3), torch.nan, dtype=torch.float64)},
    {"features": torch.zeros(6, dtype=torch.float64)},
]


@pytest.mark.parametrize("tensors", OTHERS)
def test_a_file_of_something_else_is_made_anew_and_replaced(tensors):
    compute = Compute()
    want = cached(KEY, compute)
    (path,) = folder().iterdir()
    content = path.read_bytes()
    save_file(tensors, path)
    assert torch.equal(cached(KEY, compute), want)
    assert path.read_bytes() == content


def test_features_of_another_key_are_not_taken_for_these():
    compute = Compute()
    cached(KEY, compute)
    cached(KEY | {"n": 4}, compute)
    one, other = sorted(folder().iterdir())
    one.rename(other.with_name(other.name.replace(other.name[:NAME], one.name[:NAME])))
    one, other = sorted(folder().iterdir())
    calls = compute.calls
    cached(KEY, compute)
    cached(KEY | {"n": 4}, compute)
    assert compute.calls == calls + 1


@pytest.mark.parametrize("what", ["pipe", "folder", "link"])
def test_what_lies_in_a_file_s_place_is_not_waited_for(what, tmp_path):
    compute = Compute()
    want = cached(KEY, compute)
    (path,) = folder().iterdir()
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        (path / "sub").mkdir(parents=True)
    else:
        path.symlink_to(tmp_path / "nowhere")
    assert torch.equal(cached(KEY, compute), want)
    assert path.is_file()
    assert compute.calls == 2
    cached(KEY, compute)
    assert compute.calls == 2


def test_features_that_are_not_finite_are_not_kept():
    bad = torch.full((3, 2), torch.inf, dtype=torch.float64)
    assert torch.equal(cached(KEY, lambda: bad), bad)
    assert not folder().exists()


def test_who_writes_the_same_at_the_same_time_disturbs_nobody(monkeypatch):
    compute, replace = Compute(), Path.replace

    def after_another(written, path):
        monkeypatch.setattr(Path, "replace", replace)
        cached(KEY, compute)
        return replace(written, path)

    monkeypatch.setattr(Path, "replace", after_another)
    want = cached(KEY, compute)
    assert len(list(folder().iterdir())) == 1
    assert torch.equal(cached(KEY, compute), want)
    assert compute.calls == 2


def test_a_folder_that_can_not_be_written_is_done_without(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "file"))
    compute = Compute()
    with caplog.at_level(logging.WARNING):
        assert cached(KEY, compute).shape == (2, 3)
        assert cached(KEY, compute).shape == (2, 3)
    assert compute.calls == 2
    assert not caplog.records


def test_a_write_that_fails_leaves_nothing(monkeypatch):
    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(feature_cache, "save_file", full)
    assert cached(KEY, Compute()).shape == (2, 3)
    assert list(folder().iterdir()) == []


def test_the_folder_is_the_platforms_unless_it_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("GENBENCH_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    assert folder() == tmp_path / "genbench" / "features"
    monkeypatch.setenv("GENBENCH_DATA", os.devnull)
    assert folder() == tmp_path / "genbench" / "features"
