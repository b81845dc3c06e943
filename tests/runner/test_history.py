"""What a plan learns from the records of its output folder."""

from dataclasses import replace

import pytest
from specs import run_spec

from genbench.plan.planner import OVERHEAD
from genbench.runner.draft import Draft
from genbench.runner.history import History


def spec(**changes):
    return run_spec(**({"label": "vae[beta=4]", "plugin": ("mine.py", "1"), "budget": "1000steps"} | changes))


def record(run, status="ok", overhead=6.0, **used):
    draft = Draft(run)
    draft.timing |= {"setup": overhead / 2, "curve": overhead / 4, "evaluation": overhead / 4}
    made = draft.finish(status)
    amount = made.budget.used.model_copy(update=used)
    return made.model_copy(update={"budget": made.budget.model_copy(update={"used": amount})})


def test_nothing_is_known_without_records_but_of_budgets_in_seconds():
    assert History().seconds(spec()) is None
    assert History().seconds(spec(budget="30s")) == 30 + OVERHEAD
    assert History().seconds(spec(family="reference")) == OVERHEAD / 2


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [("1000steps", 20), ("4epochs", 8), ("1e9flop", 5), ("1000steps,10s", 10), ("1000steps,1epochs", 2), ("30s", 30)],
)
def test_time_is_that_of_the_same_model_for_as_much(budget, seconds):
    past = [
        record(spec(seed=seed, budget="100steps"), seconds=2.0, steps=100, epochs=1.0, flops=4e8, overhead=5.0 + seed)
        for seed in (0, 1, 2)
    ]
    assert History(past).seconds(spec(budget=budget)) == pytest.approx(seconds + 6.0)


def test_the_nearest_kin_tells():
    run = spec()
    elsewhere = replace(run, hardware={"gpu": "y"})
    past = {
        "same hardware": record(run, seconds=1.0, steps=1000),
        "same data": record(elsewhere, seconds=2.0, steps=1000),
        "same model": record(replace(run, label="vae", data="digits"), seconds=3.0, steps=1000),
        "other data": record(replace(run, label="vae", data="mnist"), seconds=4.0, steps=1000),
        "other model": record(replace(run, label="ae", model="ae"), seconds=5.0, steps=1000),
        "failed": record(run, status="failed", seconds=9.0, steps=1000),
    }
    for expected in (1.0, 2.0, 3.0, 4.0):
        assert History(past.values()).seconds(run) == pytest.approx(expected + 6.0)
        del past[next(iter(past))]
    assert History(past.values()).seconds(run) is None


def test_a_model_that_is_done_early_is_done_early_again():
    past = record(spec(budget="30s"), seconds=0.5, steps=1)
    assert History([past]).seconds(spec(budget="60s", seed=1)) == pytest.approx(6.5)
    past = record(spec(budget="30s"), seconds=30.0, steps=100)
    assert History([past]).seconds(spec(budget="60s", seed=1)) == pytest.approx(66.0)


def test_a_run_that_is_new_because_its_plugin_or_data_changed_says_so():
    history = History([record(spec())])
    key = spec().key
    assert history.reason(spec(plugin=("mine.py", "2"))) == f"mine.py has changed since run {key}"
    assert history.reason(spec(fingerprint="0" * 16)) == f"its data has changed since run {key}"
    assert history.reason(spec()) == history.reason(spec(seed=1)) == ""
