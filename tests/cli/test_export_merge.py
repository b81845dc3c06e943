import json
import subprocess
import sys

import pandas as pd
import pytest

from genbench.cli import main
from genbench.results.frame import COLUMNS, to_frame
from genbench.results.store import Store


def genbench(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture
def published(request):
    return request.config.rootpath / "results" / "reference" / "digits"


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_an_export_reads_back_with_every_number(published, tmp_path, capsys, suffix):
    path = tmp_path / f"results{suffix}"
    assert genbench("export", published, "--to", path) == 0
    assert capsys.readouterr().out.split() == [str(path)]
    read = {
        ".parquet": pd.read_parquet,
        ".csv": pd.read_csv,
        ".json": lambda p: pd.DataFrame(json.loads(p.read_text())),
    }
    found, expected = read[suffix](path), to_frame(Store(published).read_all()[0])
    assert list(found.columns) == COLUMNS
    for name in ("value", "stderr", "interval_low"):
        assert found[name].astype(float).equals(expected[name])
    for name in ("key", "label", "status", "name", "kind"):
        assert found[name].tolist() == expected[name].tolist()
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_suffix_is_refused_with_those_there_are(published, tmp_path, capsys):
    assert genbench("export", published, "--to", tmp_path / "results.xlsx") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for said in (".xlsx", ".parquet", ".csv", ".json"):
        assert said in error


def test_a_file_that_can_not_be_written_is_named(published, tmp_path, capsys):
    assert genbench("export", published, "--to", tmp_path / "absent" / "results.csv") == 1
    assert "can't write" in capsys.readouterr().err


def test_a_merge_says_how_much_it_copied_and_what_it_left(published, tmp_path, capsys):
    damaged = tmp_path / "a" / "runs" / ("f" * 16)
    damaged.mkdir(parents=True)
    (damaged / "record.json").write_text("{")
    assert genbench("merge", published, tmp_path / "a", "--into", tmp_path / "c") == 0
    said = capsys.readouterr()
    count = len(list(published.glob("runs/*/record.json")))
    assert said.out == f"{tmp_path / 'c'}: {count} runs copied\n"
    assert f"skipped {damaged / 'record.json'}" in said.err
    assert len(Store(tmp_path / "c").read_all()[0]) == count


def test_a_conflict_has_the_exit_code_of_bad_usage(published, tmp_path, capsys):
    record = Store(published).read_all()[0][0]
    Store(tmp_path / "a").publish(record.model_copy(update={"status": "failed"}))
    assert genbench("merge", published, tmp_path / "a", "--into", tmp_path / "c") == 2
    error = capsys.readouterr().err
    assert record.key in error
    assert error.count("\n") == 1
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("arguments", [["export", "A", "--to", "C.parquet"], ["merge", "A", "--into", "C"]])
def test_neither_imports_torch(published, tmp_path, arguments):
    meant = {"A": str(published), "C": str(tmp_path / "c"), "C.parquet": str(tmp_path / "c.parquet")}
    code = (
        f"import sys\nfrom genbench.cli import main\ntry:\n    main({[meant.get(a, a) for a in arguments]!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["export", "merge"])
def test_help_has_examples(command, capsys):
    assert genbench(command, "--help") == 0
    assert f"Examples:\n    genbench {command}" in capsys.readouterr().out
