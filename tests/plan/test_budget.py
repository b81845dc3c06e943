import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbench.errors import UsageError
from genbench.plan.budget import Budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("60s", Budget(seconds=60)),
        ("1.5min", Budget(seconds=90)),
        ("2h", Budget(seconds=7200)),
        ("2000steps", Budget(steps=2000)),
        ("1 step", Budget(steps=1)),
        ("0.5epochs", Budget(epochs=0.5)),
        ("1e14flop", Budget(flops=1e14)),
        ("60s,4GiB", Budget(seconds=60, memory_bytes=4 * 2**30)),
        ("10S, 5Epochs, 512MiB", Budget(seconds=10, epochs=5, memory_bytes=512 * 2**20)),
    ],
)
def test_what_a_budget_says(text, budget):
    assert Budget.parse(text) == budget


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("", "''"),
        ("60", "'60'"),
        ("60x", "'60x'"),
        ("60s,", "''"),
        ("1.2.3s", "'1.2.3' is not a number"),
        ("0s", "above zero"),
        ("1e999s", "finite"),
        ("1e200s", "of sane size"),
        ("9223372036854775808steps", "of sane size"),
        ("1s,1e30GiB", "of sane size"),
        ("-5s", "'-5s'"),
        ("1.5steps", "whole number"),
        ("60s,1min", "seconds twice"),
        ("4GiB", "never ends"),
    ],
)
def test_a_malformed_budget_is_refused_naming_what_is_wrong(text, culprit):
    with pytest.raises(UsageError) as error:  # the message is asserted below
        Budget.parse(text)
    assert culprit in str(error.value)
    assert "\n" not in str(error.value)


@given(
    seconds=st.none() | st.floats(1e-3, 1e9),
    steps=st.integers(1, 10**12),
    flops=st.none() | st.floats(1, 1e30),
    memory=st.none() | st.integers(1, 2**20).map(lambda mib: mib * 2**20),
)
def test_the_canonical_text_reads_back_as_the_same_budget(seconds, steps, flops, memory):
    text = str(Budget(seconds=seconds, steps=steps, flops=flops, memory_bytes=memory))
    assert str(Budget.parse(text)) == text
