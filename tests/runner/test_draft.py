"""A record can always be written, whatever a run has left in it."""

from dataclasses import replace

import pytest
import torch
from specs import run_spec

from genbench.results.schema import CurvePoint, Record, Unmeasured, Value
from genbench.runner.draft import Draft, log_tail

SPEC = run_spec()
VALUE = Value(
    name="fid", metric="fid", value=1.0, stderr=None, kind="exact", better="lower", unit="", protocol="p", settings={}
)


def written(draft, status="ok"):
    """The record as a reader gets it."""
    return Record.model_validate_json(draft.finish(status).model_dump_json(by_alias=True))


def test_odd_values_of_a_run_are_in_its_record_as_text():
    draft = Draft(SPEC)
    draft.provenance |= {"weights": torch.zeros(2), "of": {1, 2}, "name": "\udcff"}
    draft.selected = {"rule": "best", "objective": float("nan")}
    draft.timing = {"setup": 1.0, "training": float("inf")}
    record = written(draft)
    assert record.provenance["weights"] == [0.0, 0.0]
    assert record.provenance["name"] == "\ufffd"
    assert record.selected == {"rule": "best", "objective": "nan"}
    assert record.timing == {"setup": 1.0}
    assert "left_out" not in record.provenance


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("metrics", [VALUE], [replace(VALUE, settings={"weights": torch.zeros(1)}), "no value"]),
        ("unmeasured", [Unmeasured(metric="m", names=[], status="failed", reason="r")], [7]),
        ("curve", [CurvePoint(fraction=1.0, seconds=0.0, steps=1, samples=1)], [None]),
        ("capabilities", ["Sampler"], [object()]),
        ("metric_seconds", {"fid": 1.0}, {"bad\nname": 1.0, "kid": float("nan")}),
        ("artifacts", {"log": "log.txt"}, {"samples": "../samples.png"}),
    ],
)
def test_what_no_record_can_hold_is_left_out_and_said(field, good, bad):
    draft = Draft(SPEC)
    setattr(draft, field, good | bad if isinstance(good, dict) else [*bad, *good])
    draft.artifacts = draft.artifacts or {"log": "log.txt"}
    record = written(draft)
    assert getattr(record, field) == good
    assert record.artifacts == {"log": "log.txt"}
    assert record.provenance["left_out"]["fields"] == [field]
    assert record.provenance["left_out"]["reason"]


def test_a_plan_with_names_that_are_no_text_has_a_record():
    draft = Draft(replace(SPEC, data="folder[path=caf\udce9]", dataset_config={"path": "caf\udce9"}))
    record = written(draft)
    assert record.spec.dataset_config == {"path": "caf\ufffd"}
    assert record.key == draft.spec.key


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (Mute(), "Mute", "<Mute without text>"),
        (ValueError("bad \udcff\x00\x1b[2Jname"), "ValueError", "bad \ufffd\ufffdname"),
        (ExceptionGroup("many", [ValueError(1)]), "ExceptionGroup", "many (1 sub-exception)"),
        (ValueError("x" * 3_000_000), "ValueError", "x" * 1999 + "…"),
    ],
)
def test_any_exception_is_a_failure_of_bounded_size(error, kind, message):
    draft = Draft(SPEC)
    draft.fail(error, "training")
    failure = written(draft, "failed").error
    assert (failure.type, failure.message) == (kind, message)
    assert kind in failure.traceback
    assert len(failure.traceback) <= 4000


def test_an_artifact_that_could_not_be_written_says_why(tmp_path):
    draft = Draft(SPEC)
    (tmp_path / "checkpoint.safetensors").mkdir()
    (tmp_path / "samples.png").write_bytes(b"")
    draft.collect_artifacts(tmp_path)
    draft.unsaved("checkpoint", IsADirectoryError(21, "Is a directory", "/secret/path"))
    record = written(draft)
    assert record.artifacts == {"samples": "samples.png"}
    assert record.provenance["unsaved"] == {"checkpoint": "Is a directory"}


def test_the_end_of_a_log_is_text(tmp_path):
    (tmp_path / "log.txt").write_bytes(b"10%\r20%\n\x00\xff\x1b[1mend")
    assert log_tail(tmp_path / "log.txt") == "10%\n20%\n\ufffd\ufffdend"
