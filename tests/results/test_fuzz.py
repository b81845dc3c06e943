"""Every reader against damaged records and artifacts: each is skipped with a reason or used, never a traceback.

`GENBENCH_FUZZ=N` tries so many records, and four times as many artifacts, in place of a few.
"""

import io
import json
import os
import re
import types
from pathlib import Path

import fuzz
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save_model

from genbench.cli import main
from genbench.cli.trained import _runs
from genbench.errors import GenbenchError, UsageError
from genbench.plugins.catalogue import Catalogue
from genbench.report.files import write_all
from genbench.report.formats import FORMATS, render
from genbench.report.pictures import Artifacts
from genbench.report.plots.latents import Codes, draw_latents
from genbench.report.plots.rows import draw_rows
from genbench.report.tables import build_tables
from genbench.report.terminal import print_tables
from genbench.results.export import WRITERS
from genbench.results.finding import find_run
from genbench.results.merging import merge
from genbench.results.schema import Record
from genbench.results.store import Store
from genbench.runner.campaign import decide, make_options
from genbench.runner.checkpoint import load_weights
from genbench.runner.redo import Redo, plan_again

PUBLISHED = Path(__file__).parents[2] / "results" / "reference" / "digits"
#: Records at a time.
FOLDER = 40
COUNT = int(os.environ.get("GENBENCH_FUZZ", 80))


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
        (decision,) = decide([types.SimpleNamespace(key=path.name, metrics={})], store, make_options())
        assert decision.reason
        if isinstance(found, Record):
            assert find_run(str(path), out)[0].key == path.name
        else:
            with pytest.raises(UsageError, match=re.escape(found.reason[:40])):
                find_run(str(path), out)
    for item in _runs(types.SimpleNamespace(params={"results": out}), None, ""):
        assert item.value.isprintable()
    bad = [record.model_copy(update={"status": "failed"}) for record in records]
    plan, left = plan_again(Redo.of(bad, "failed"), Catalogue.find(()), prepare)
    assert plan.runs == []
    assert len(left) == len(records)
    capsys.readouterr()


ARTIFACTS = {"samples": "samples.png", "codes": "codes.npz", "rows": "rows.npz"}


@pytest.fixture(scope="module")
def contents():
    """An artifact of each kind, as a run leaves it."""
    rng = np.random.default_rng(0)
    plane, images = rng.normal(size=(40, 2)).astype("f4"), rng.integers(0, 255, (4, 1, 8, 8)).astype("u1")
    found = {name: io.BytesIO() for name in ARTIFACTS.values()}
    Image.fromarray(images[0, 0]).resize((64, 64)).save(found["samples.png"], "png")
    np.savez_compressed(found["codes.npz"], code_2d=plane, pca_2d=plane, y=np.arange(40) % 3, knn_accuracy=0.5)
    np.savez_compressed(found["rows.npz"], x=images, reconstructed=images, noisy=images, restored=images)
    return {name: buffer.getvalue() for name, buffer in found.items()}


@pytest.fixture(scope="module")
def table():
    document = documents()[0]
    return build_tables([Record.model_validate_json(json.dumps(document))])[0]


def test_damaged_artifacts_are_left_out_with_a_reason_or_drawn(tmp_path, contents, table):
    record = Record.model_validate_json(json.dumps(documents()[0] | {"artifacts": ARTIFACTS}))
    folder = Store(tmp_path).folder(record.key)
    folder.mkdir(parents=True)
    usable = 0
    for rng in fuzz.seeds(4 * COUNT):
        for name, content in contents.items():
            (folder / name).write_bytes(fuzz.damaged_bytes(content, rng))
        left = Artifacts(tmp_path)
        found = left.picture(record, "samples"), left.codes(record), left.rows(record)
        assert sum(item is None for item in found) == len(left.damaged)
        assert all(item.reason for item in left.damaged.values())
        usable += len(found) - len(left.damaged)
        if found[1] is not None and rng.random() < 0.1:
            assert draw_latents(table, [Codes("vae", "vae", found[1], 2)]).png
        if found[2] is not None and rng.random() < 0.1:
            assert draw_rows(table, [("vae", found[2]["restored"])], "rows", "Rows", "Rows.").png
    assert usable


def test_a_damaged_checkpoint_is_an_error_of_one_line_or_loads(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    path = tmp_path / "checkpoint.safetensors"
    save_model(model, str(path))
    content, loaded = path.read_bytes(), 0
    for rng in fuzz.seeds(4 * COUNT):
        path.write_bytes(fuzz.damaged_bytes(content, rng))
        try:
            load_weights(model, path)
            loaded += 1
        except GenbenchError as error:
            said = str(error)
            assert "\n" not in said
    assert 0 < loaded < 4 * COUNT
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(GenbenchError, match="not a plain file"):
        load_weights(model, path)
