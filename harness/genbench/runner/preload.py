"""What the fork server imports once, so that every run's process starts with it: torch and what a first step loads.

Nothing here touches CUDA, and no thread may be left running: a fork would lose it.
"""

import torch

import genbench.metrics.distances
import genbench.metrics.latent
import genbench.plan.prepare
import genbench.runner.worker  # noqa: F401  # imported for what it imports


def _first_step() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.zeros(1, 2)).sum().backward()
    optimizer.step()
    torch.set_num_threads(threads)


_first_step()
