"""Training images/s of the harness's loop against hand-written loops of the same model, batch and data: a bare one with
the same optimiser and nothing that the harness's could do without, and a plain one with PyTorch's default Adam.

All take turns within one process; a ratio is the median over the rounds of harness/other.
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
from genbench.plan.references import parse_references
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.runner.loop import train
from genbench_gan.dcgan import DCGAN

MNIST = DataSpec((1, 28, 28), "discrete", 256, 10)
BATCH, ROUNDS = 128, 9
#: Steps of a window: a second or two each.
STEPS = {"ae": 40, "vae": 30, "vae[network=mlp]": 150, "vqvae": 20, "realnvp": 40, "dcgan": 15}
#: What the harness's loop must reach of the plain one: the most where the optimiser has most to do.
OF_PLAIN = {"ae": 1.0, "vae": 1.0, "vae[network=mlp]": 1.25, "vqvae": 1.0, "realnvp": 1.0, "dcgan": 1.1}


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)

    def split(n):
        return Split(rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, n))

    return Dataset("random", MNIST, split(12_800), split(10), split(10), family="mnist")


def build(name):
    (reference,) = parse_references(name)
    cls = import_target(Catalogue.find().models[reference.name].entry.target, torch.nn.Module)
    torch.manual_seed(0)
    return cls(MNIST, cls.Config(batch_size=BATCH, **reference.options))


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


def by_hand(model, x, steps, fused):
    """Images/s of the loop that one would write by hand."""
    model.train()
    step = gan_step(model, fused) if isinstance(model, DCGAN) else loss_step(model, fused)
    start = time.perf_counter()
    done = 0
    while done < steps:
        order = torch.randperm(len(x))
        for i in range(0, len(x) - BATCH + 1, BATCH):
            step(x[order[i : i + BATCH]])
            done += 1
            if done == steps:
                break
    return steps * BATCH / (time.perf_counter() - start)


def loss_step(model, fused):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def step(x):
        loss = model.loss(Batch(x), 0.5)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def gan_step(model, fused):
    """As Radford et al. 2016 train it: binary cross-entropy, and nothing averaged."""
    generator, critic = model.generator, model.discriminator
    of_generator, of_critic = (
        torch.optim.Adam(part.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=fused) for part in (generator, critic)
    )
    one, zero = torch.ones(BATCH), torch.zeros(BATCH)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits

    def step(x):
        fake = generator(torch.randn(BATCH, model.config.latent_dim))
        of_critic.zero_grad()
        (entropy(critic(x).view(-1), one) + entropy(critic(fake.detach()).view(-1), zero)).backward()
        of_critic.step()
        of_generator.zero_grad()
        entropy(critic(fake).view(-1), one).backward()
        of_generator.step()

    return step


@pytest.mark.parametrize("name", STEPS)
def test_the_harness_s_loop_against_a_bare_one(benchmark, dataset, name):
    data, validation = (DeviceSplit(dataset, split, torch.device("cpu")) for split in ("train", "validation"))
    x = data.x()
    steps = STEPS[name]
    ours, theirs = build(name), build(name)
    theirs.setup(Batch(x[:512]))
    by_hand(theirs, x, 3, fused=True)
    rates = []

    def one_round():
        turns = {
            "harness": lambda: harness(ours, data, validation, steps),
            "bare": lambda: by_hand(theirs, x, steps, fused=True),
            "plain": lambda: by_hand(theirs, x, steps, fused=False),
        }
        first = len(rates) % len(turns)
        order = [*turns][first:] + [*turns][:first]
        rates.append({turn: turns[turn]() for turn in order})

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)
    for other, least in (("bare", 0.97), ("plain", OF_PLAIN[name])):
        ratios = [rate["harness"] / rate[other] for rate in rates[1:]]
        benchmark.extra_info[other] = {"ratio": median(ratios), "range": (min(ratios), max(ratios))}
        print(f"\n{name}: ratio {median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f}) to the {other} loop")
        if not (other == "bare" and name == "dcgan"):  # that loop leaves out the generator's average
            assert median(ratios) >= least
