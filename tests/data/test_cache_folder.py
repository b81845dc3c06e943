from pathlib import Path

import pytest

from genbench.data import cache_folder


def test_the_environment_names_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENBENCH_DATA", str(tmp_path / "data"))
    assert cache_folder() == tmp_path / "data"
    assert not cache_folder().exists()


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GENBENCH_DATA", "~/data")
    assert cache_folder() == tmp_path / "data"


@pytest.mark.parametrize("value", [None, ""])
def test_otherwise_it_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("GENBENCH_DATA", raising=False)
    else:
        monkeypatch.setenv("GENBENCH_DATA", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder().name == "genbench"
    assert cache_folder().is_relative_to(tmp_path)
