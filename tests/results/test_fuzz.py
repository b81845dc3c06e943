"""Every reader against damaged records: each is skipped with a reason or used, never a traceback.

`GENBENCH_FUZZ=N` tries so many records in place of a few.
"""

import io
import json
import os
import types
from pathlib import Path

import fuzz
import pytest
from rich.console import Console

from genbench.cli import main
from genbench.cli.trained import _runs
from genbench.errors import GenbenchError, UsageError
from genbench.plugins.catalogue import Catalogue
from genbench.report.files import write_all
from genbench.report.formats import FORMATS, render
from genbench.report.tables import build_tables
from genbench.report.terminal import print_tables
from genbench.results.export import WRITERS
from genbench.results.finding import find_run
from genbench.results.merging import merge
from genbench.results.schema import Record
from genbench.results.store import Skipped, Store
from genbench.runner.campaign import decide, make_options
from genbench.runner.redo import Redo, plan_again

PUBLISHED = Path(__file__).parents[2] / "results" / "reference" / "digits"
#: Records at a time.
FOLDER = 40
COUNT = int(os.environ.get("GENBENCH_FUZZ", 160))


def documents():
    """Published records of all kinds, and one of a run that failed."""
    found = [json.loads(path.read_text()) for path in sorted(PUBLISHED.glob("runs/*/record.json"))]
    failed = {"phase": "training", "type": "E", "message": "m", "traceback": "t", "log_tail": "l"}
    one = {"metric": "fid", "names": ["fid"], "status": "failed", "reason": "r"}
    return [*found, found[0] | {"status": "killed", "error": failed}, found[1] | {"unmeasured": [one]}]


def filled(out, first):
    """An output folder of damaged records, and one that is not."""
    whole = documents()
    for number, rng in enumerate(fuzz.seeds(COUNT)[first : first + FOLDER]):
        document = rng.choice(whole) | {"key": f"{first + number:016x}"}
        folder = out / "runs" / document["key"]
        folder.mkdir(parents=True)
        (folder / "record.json").write_bytes(fuzz.damaged_record(document, rng))
    good = out / "runs" / ("f" * 16)
    good.mkdir()
    (good / "record.json").write_text(json.dumps(whole[0] | {"key": "f" * 16}))
    return out


def command(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    return end.value.code


def prepare(_):
    raise GenbenchError("not here")


@pytest.mark.parametrize("first", range(0, COUNT, FOLDER))
def test_damaged_records_are_skipped_with_a_reason_or_used_by_every_reader(tmp_path, capsys, first):
    out = filled(tmp_path / "out", first)
    store = Store(out)
    records, skipped = store.read_all()
    assert len(records) + len(skipped) == len(list((out / "runs").iterdir()))
    assert all(item.reason for item in skipped)
    assert "f" * 16 in {record.key for record in records}
    tables = build_tables(records)
    for form in FORMATS:
        assert render(tables, form).encode()
    print_tables(tables, Console(file=io.StringIO()))
    for suffix in WRITERS:
        assert command("export", out, "--to", tmp_path / f"all{suffix}") == 0
    for arguments in (["table"], ["compare"], ["compare", "--json"], ["failures", "-v"], ["failures", "--json"]):
        assert command(arguments[0], out, *arguments[1:]) == 0
    assert str(out / "report.html") in [str(path) for path in write_all(out)]
    assert merge([out], tmp_path / "merged")[1] == skipped
    for path in (out / "runs").iterdir():
        found = store.read(path.name)
        assert isinstance(found, Record | Skipped)
        (decision,) = decide([types.SimpleNamespace(key=path.name)], store, make_options())
        assert decision.reason
        try:
            assert find_run(str(path), out)[0] == found
        except UsageError as error:
            assert isinstance(found, Skipped) and found.reason in str(error)  # noqa: PT018, PT017 (either or)
    for item in _runs(types.SimpleNamespace(params={"results": out}), None, ""):
        assert item.value.isprintable()
    bad = [record.model_copy(update={"status": "failed"}) for record in records]
    plan, left = plan_again(Redo.of(bad, "failed"), Catalogue.find(()), prepare)
    assert plan.runs == []
    assert len(left) == len(records)
    capsys.readouterr()
