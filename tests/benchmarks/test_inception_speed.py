"""Images/s of Inception's features, ours against torch-fidelity's own extractor of the same weights, with the
allocator's settings that a run has and with glibc's own.

Four processes, one of each kind, take turns of a batch; a ratio is the median over the rounds.
"""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from statistics import median

import pytest
import torch
from torch import nn
from torch_fidelity import feature_extractor_inceptionv3

from genbench.runner.workers import ALLOCATOR

BATCH, ROUNDS = 32, 5
#: Prints the seconds that a batch took for every line that it is sent.
TURNS = """
import sys, time
from pathlib import Path
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from genbench.metrics.extractors import load_extractor

who, weights, batch = sys.argv[1:]
x = torch.randint(0, 256, (int(batch), 3, 28, 28), generator=torch.Generator().manual_seed(0))
if who == "ours":
    extract, x = load_extractor("inception", torch.device("cpu"), Path(weights)), x / 255
else:
    extract, x = FeatureExtractorInceptionV3("theirs", ["2048"], weights), x.to(torch.uint8)
for _ in sys.stdin:
    start = time.perf_counter()
    with torch.no_grad():
        extract(x)
    print(time.perf_counter() - start, flush=True)
"""


class Turns:
    """A process that extracts a batch when it is told to."""

    def __init__(self, who: str, settings: dict[str, str], weights: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ALLOCATOR} | settings
        command = [sys.executable, "-c", TURNS, who, str(weights), str(BATCH)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def take(self) -> float:
        """Images/s."""
        self.process.stdin.write("\n")
        return BATCH / float(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file of random weights in torch-fidelity's format."""

    class Blank(feature_extractor_inceptionv3.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_args):
            """Keep what the constructors made."""

    monkeypatch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *_args, **_kwargs: {})
    blank = Blank("blank", ["2048"])
    for layer in blank.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    path = tmp_path / "random.pth"
    torch.save(blank.state_dict(), path)
    return path


@pytest.fixture
def turns(weights):
    settings = {"default": {}, "run's": ALLOCATOR}
    found = {(who, name): Turns(who, settings[name], weights) for who, name in product(["ours", "theirs"], settings)}
    yield found
    for turn in found.values():
        turn.end()


def test_inception_s_features_against_torch_fidelity_s_own(benchmark, turns):
    rates = []

    def one_round():
        kinds = list(turns)
        first = len(rates) % len(kinds)
        rates.append({kind: turns[kind].take() for kind in kinds[first:] + kinds[:first]})

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=2)
    measured = rates[2:]
    for kind in turns:
        benchmark.extra_info[" ".join(kind)] = median(rate[kind] for rate in measured)
    print(f"\n{torch.get_num_threads()} threads, images/s: {benchmark.extra_info}")

    def ratio(ours, theirs):
        found = [rate["ours", ours] / rate["theirs", theirs] for rate in measured]
        print(f"ours, {ours} allocator / torch-fidelity's, {theirs}: {median(found):.2f} ", end="")
        print(f"({min(found):.2f}–{max(found):.2f})")
        benchmark.extra_info[f"ratio {ours}/{theirs}"] = median(found)
        return median(found)

    assert ratio("default", "default") >= 1.5
    assert ratio("run's", "run's") >= 1.5
    assert ratio("run's", "default") >= 2.5
