import sys
import types

import pytest
import torch

from genbench import Check, SelftestEntry
from genbench.selftest.prove import prove


def right(n=1):
    for number in range(n):
        yield Check(f"right {number}", 1.0, 1.0, tolerance=0.1)


def raises():
    yield from right()
    raise RuntimeError("no\nluck")


def random():
    yield Check("a number", 0.0, torch.randn(()).item(), stderr=1.0)


def threads():
    yield Check("threads", 1.0, torch.get_num_threads(), tolerance=0.5)


@pytest.fixture
def proven(monkeypatch):
    """The outcomes of a function as a proof."""

    def proven(function):
        module = types.ModuleType("proofs_of_a_test")
        module.proof = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return prove(SelftestEntry("mine", "proofs_of_a_test:proof", summary="s"))

    return proven


def test_every_check_has_an_outcome(proven):
    outcomes = proven(lambda: right(3))
    assert [outcome.check.estimator for outcome in outcomes] == ["right 0", "right 1", "right 2"]
    assert all(outcome.passed and outcome.selftest == "mine" and not outcome.error for outcome in outcomes)


def test_a_wrong_estimate_does_not_pass(proven):
    (outcome,) = proven(lambda: [Check("wrong", 1.0, 2.0, tolerance=0.1)])
    assert not outcome.passed


def test_what_raises_keeps_what_was_checked_and_says_why_on_one_line(proven):
    before, raised = proven(raises)
    assert before.passed
    assert (raised.check, raised.error, raised.passed) == (None, "RuntimeError: no luck", False)


@pytest.mark.parametrize(
    ("proof", "error"),
    [
        (lambda: [], "ValueError: proofs_of_a_test:proof yields no checks"),
        (lambda: [True], "TypeError: proofs_of_a_test:proof yields True, not a Check"),
        (lambda: None, "TypeError: 'NoneType' object is not iterable"),
        (lambda: [Check("x", 1.0, 1.0)], "ValueError: x: a check has either a standard error or a tolerance"),
    ],
)
def test_a_proof_that_proves_nothing_fails(proven, proof, error):
    (outcome,) = proven(proof)
    assert (outcome.passed, outcome.error) == (False, error)


@pytest.mark.parametrize("target", ["absent_module:proof", "genbench.selftest.likelihood:absent"])
def test_a_target_that_is_not_there_fails(target):
    (outcome,) = prove(SelftestEntry("mine", target, summary="s"))
    assert "absent" in outcome.error
    assert not outcome.passed


def test_seeds_are_fixed_and_the_generator_of_others_is_left_alone(proven):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = proven(random), proven(random)
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)


def test_a_proof_has_one_thread_and_others_get_theirs_back(proven):
    before = torch.get_num_threads()
    assert proven(threads)[0].passed
    assert torch.get_num_threads() == before
