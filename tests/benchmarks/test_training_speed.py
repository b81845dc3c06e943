"""Training images/s of the harness's loop against a bare hand-written loop of the same model, batch and data.

Both take turns within one process; the ratio is the median over the rounds of harness/bare.
"""

import time
from statistics import median

import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.model import Batch
from genbench.plan.budget import Budget
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.runner.loop import train

MNIST = DataSpec((1, 28, 28), "discrete", 256, 10)
BATCH, ROUNDS = 128, 9
#: Steps of a window: a second or two each.
STEPS = {"ae": 40, "vae": 30, "vqvae": 20, "realnvp": 40}


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)

    def split(n):
        return Split(rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, n))

    return Dataset("random", MNIST, split(12_800), split(10), split(10), family="mnist")


def build(name):
    cls = import_target(Catalogue.find().models[name].entry.target, torch.nn.Module)
    torch.manual_seed(0)
    return cls(MNIST, cls.Config(batch_size=BATCH))


def harness(model, data, validation, steps):
    """Images/s of the harness's loop, by its own clock, without the curve's measurements, which are off it."""
    model.validation_loss = lambda batch: None
    trained = train(
        model,
        data,
        validation,
        Budget(steps=steps),
        seed=0,
        precision="fp32",
        select="last",
        emit=lambda event: None,
        quick=lambda model: {},
        keep=lambda point: None,
    )
    return trained.clock.samples / trained.clock.seconds


def bare(model, x, steps):
    """Images/s of the loop that one would write by hand."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    start = time.perf_counter()
    done = 0
    while done < steps:
        order = torch.randperm(len(x))
        for i in range(0, len(x) - BATCH + 1, BATCH):
            loss = model.loss(Batch(x[order[i : i + BATCH]]), 0.5)["loss"]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return steps * BATCH / (time.perf_counter() - start)


@pytest.mark.parametrize("name", STEPS)
def test_the_harness_s_loop_against_a_bare_one(benchmark, dataset, name):
    data, validation = (DeviceSplit(dataset, split, torch.device("cpu")) for split in ("train", "validation"))
    x = data.x()
    steps = STEPS[name]
    ours, theirs = build(name), build(name)
    theirs.setup(Batch(x[:512]))
    bare(theirs, x, 3)
    rates = []

    def one_round():
        turns = [lambda: harness(ours, data, validation, steps), lambda: bare(theirs, x, steps)]
        first = len(rates) % 2
        found = {turn: turns[turn]() for turn in (first, 1 - first)}
        rates.append((found[0], found[1]))

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)
    ratios = [mine / other for mine, other in rates[1:]]
    benchmark.extra_info |= {
        "harness_images_per_s": median(mine for mine, _ in rates[1:]),
        "bare_images_per_s": median(other for _, other in rates[1:]),
        "ratio": median(ratios),
        "range": (min(ratios), max(ratios)),
    }
    print(f"\n{name}: ratio {median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f}) to the bare loop")
    assert median(ratios) >= 0.97
