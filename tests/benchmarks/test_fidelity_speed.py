"""Time of a Fréchet distance from features, against torch-fidelity's of the same features.

Both take turns within one process; the ratio is the median over the rounds of theirs/ours.
"""

import time
from statistics import median

import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from genbench.metrics.frechet import plug_in

N, DIMS, ROUNDS = 10_000, 2048, 3


def theirs(x, y):
    statistics = [fid_features_to_statistics(features) for features in (x, y)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def timed(function, x, y):
    start = time.perf_counter()
    value = function(x, y)
    return time.perf_counter() - start, value


def test_a_frechet_distance_against_torch_fidelity_s(benchmark):
    torch.manual_seed(0)
    x = torch.randn(N, DIMS, dtype=torch.float64)
    y = 1.1 * torch.randn(N, DIMS, dtype=torch.float64) + 0.1
    seconds = []

    def one_round():
        turns = (plug_in, theirs)
        first = len(seconds) % 2
        found = {turn: timed(turns[turn], x, y) for turn in (first, 1 - first)}
        assert abs(found[0][1] / found[1][1] - 1) < 1e-6
        seconds.append((found[0][0], found[1][0]))

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)
    ratios = [other / mine for mine, other in seconds[1:]]
    benchmark.extra_info |= {
        "genbench_s": median(mine for mine, _ in seconds[1:]),
        "torch_fidelity_s": median(other for _, other in seconds[1:]),
        "ratio": median(ratios),
        "range": (min(ratios), max(ratios)),
    }
    print(f"\nFID: ratio {median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) to torch-fidelity")
    assert median(ratios) >= 2
