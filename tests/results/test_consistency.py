"""A record that was edited by hand contradicts itself, and is named and skipped."""

import json
import math

import pytest
from specs import run_spec

from genbench.results.schema import Value
from genbench.results.store import Store
from genbench.runner.draft import Draft

SPEC = run_spec(
    config={"latent_dim": 2, "beta": float("inf")},
    view={"binarize": "static"},
    budget="2000steps",
    seed=3,
    device="cuda:1",
    metrics={"likelihood": {"k": 8}},
    metric_protocols={"likelihood": {"k": 8, "version": 1}},
)


def number(name, value, unit):
    return Value(
        name=name,
        metric="likelihood",
        value=value,
        stderr=0.1,
        kind="lower_bound",
        better="higher",
        unit=unit,
        protocol=SPEC.value_protocol("likelihood"),
        settings={},
    )


@pytest.fixture
def store(tmp_path):
    draft = Draft(SPEC)
    draft.metrics = [
        number("log_likelihood", -20.0, "nats"),
        number("bits_per_dim", 20 / 64 / math.log(2), ""),
    ]
    store = Store(tmp_path)
    store.publish(draft.finish("ok"))
    return store


def test_an_honest_record_is_read(store):
    (record,), skipped = store.read_all()
    assert skipped == []
    assert record.key == SPEC.key


def another_value(document):
    document["metrics"][0]["value"] = -19.0


def another_bound(document):
    for value in document["metrics"]:
        value["kind"] = "exact"


def no_flags(document):
    document["metrics"][0]["flags"] = ["memorised"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d["spec"].update(seed=4), "what was run has another key"),
        (lambda d: d["spec"]["config"].update(latent_dim=9), "what was run has another key"),
        (lambda d: d["provenance"]["plugin"].update(source="x"), "what was run has another key"),
        (lambda d: d["spec"].update(budget="9steps"), "its budget is not that of its protocol"),
        (lambda d: d["spec"].update(view={}), "its view is not that of its protocol"),
        (lambda d: d["protocol"].update(fingerprint="0"), "its protocol has another hash"),
        (another_value, "its numbers have another checksum"),
        (another_bound, "its numbers have another checksum"),
        (no_flags, "its numbers have another checksum"),
        (lambda d: d["metric_protocols"]["likelihood"].update(k=9), "the protocol of log_likelihood has another hash"),
    ],
)
def test_an_edited_record_is_named_and_skipped(store, edit, said):
    path = store.path(SPEC.key)
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    found, (skipped,) = store.read_all()
    assert found == []
    assert skipped.path == path
    assert skipped.reason == f"it contradicts itself: {said}; was it edited by hand?"


def test_two_likelihoods_of_one_model_are_noticed_whatever_the_checksum(tmp_path):
    draft = Draft(SPEC)
    draft.metrics = [number("log_likelihood", -20.0, "nats"), number("bits_per_dim", 0.449, "")]
    store = Store(tmp_path)
    store.publish(draft.finish("ok"))
    _, (skipped,) = store.read_all()
    assert "bits_per_dim and log_likelihood are two likelihoods" in skipped.reason
