"""Draws per second of the K-sample bound against the raw throughput of the model's decoder, on the same codes' number.

Both take turns within one process; the ratio is the median over the rounds of bound/decoder.
"""

import time
from statistics import median

import numpy as np
import torch

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.metrics import Subject
from genbench.metrics.likelihood import Likelihood
from genbench.plugins.catalogue import Catalogue, import_target

MNIST = DataSpec((1, 28, 28), "binary", 2, 10)
POINTS, K, BATCH, ROUNDS = 20, 500, 1000, 5


def vae_subject(tmp_path):
    cls = import_target(Catalogue.find().models["vae"].entry.target, torch.nn.Module)
    torch.manual_seed(0)
    model = cls(MNIST, cls.Config()).eval()
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 2, (POINTS, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, POINTS))
    dataset = Dataset("random", MNIST, split, split, split, family="mnist")
    device = torch.device("cpu")
    parts = [DeviceSplit(dataset, name, device) for name in ("train", "validation", "test")]
    return Subject(model, MNIST, dataset, *parts, device=device, seed=0, folder=tmp_path)


def test_a_k_sample_bound_against_the_decoder_alone(benchmark, tmp_path):
    """The decoder alone: p(x|z) of as many codes, which are there already, in batches of the same size."""
    subject = vae_subject(tmp_path)
    model = subject.model
    metric = Likelihood(Likelihood.Config(k=K, batch=BATCH))
    z = model.prior().sample((BATCH,))
    x = subject.test.x(1).expand(BATCH, -1, -1, -1).contiguous()

    def bound():
        metric.measure(subject)

    def decoder():
        for _ in range(POINTS * K // BATCH):
            model.observation(z).log_prob(x)

    turns = (bound, decoder)
    seconds = []

    @torch.no_grad()
    def one_round():
        first = len(seconds) % 2
        found = {}
        for turn in (first, 1 - first):
            start = time.perf_counter()
            turns[turn]()
            found[turn] = time.perf_counter() - start
        seconds.append((found[0], found[1]))

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)
    ratios = [alone / whole for whole, alone in seconds[1:]]
    benchmark.extra_info |= {"ratio": median(ratios), "range": (min(ratios), max(ratios))}
    print(f"\nK-sample bound: {median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) of the decoder's throughput")
    assert median(ratios) >= 0.8
