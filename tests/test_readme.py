"""The README's model is a test: it is run as the README says."""

import json
import re

import pytest

from genbench.cli import main
from genbench.results.store import Store


def blocks(readme, language):
    return re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)


def test_the_model_of_30_lines_runs_and_beats_noise(readme, tmp_path, monkeypatch):
    (code,) = [block for block in blocks(readme, "python") if "GENBENCH_API" in block]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text(code)
    with pytest.raises(SystemExit) as end:
        main(["run", "-p", "my_model.py", "--models", "tiny-vae", "-b", "1000steps", "--metrics", "likelihood,fid"])
    assert end.value.code == 0
    records, skipped = Store(tmp_path / "results").read_all()
    assert skipped == []
    numbers = {record.spec.label: {value.name: value.value for value in record.metrics} for record in records}
    assert numbers["tiny-vae"]["bits_per_dim"] < 4.09  # uniform over the levels
    assert numbers["tiny-vae"]["fid"] < numbers["noise"]["fid"]


def test_the_class_is_about_30_lines(readme):
    (code,) = [block for block in blocks(readme, "python") if "GENBENCH_API" in block]
    body = code[code.index("class TinyVAE") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 30


def test_every_command_line_of_the_readme_is_known(readme, capsys):
    commands = re.findall(r"genbench ([a-z]+)", "\n".join(blocks(readme, "console")))
    assert {"run", "table"} <= set(commands)
    for name in commands:
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        assert end.value.code == 0
    capsys.readouterr()


def published(config):
    return sorted(path.parent for path in (config.rootpath / "results" / "reference").glob("*/runs"))


def test_the_tables_are_those_that_genbench_wrote(readme, request):
    folders = published(request.config)
    assert "digits" in {folder.name for folder in folders}
    for folder in folders:
        lines = (folder / "table.md").read_text(encoding="utf-8").split("\n\n")
        (table, *_) = [block.splitlines() for block in lines if block.startswith("|")]
        assert len(table) > 3
        for row in table:
            assert row in readme


def test_published_records_are_valid(request):
    for folder in published(request.config):
        records, skipped = Store(folder).read_all()
        assert skipped == []
        assert {record.status for record in records} == {"ok"}
        assert json.loads(records[0].model_dump_json(by_alias=True))["schema"] == 1
        assert not any(gap.status == "failed" for record in records for gap in record.unmeasured)
