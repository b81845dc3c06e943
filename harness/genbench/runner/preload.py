"""Imports, once and in the fork server, all that a run's process starts with: torch, and what optimisers load.

Nothing here may initialise CUDA, since no fork of a process that has can use a GPU, and no thread may be left running,
since a fork would lose it. One training step does both: `backward()` starts autograd's thread for each device, and the
first step of an optimiser asks whether there is a GPU.
"""

import torch

import genbench.metrics.distances
import genbench.metrics.latent
import genbench.plan.prepare
import genbench.runner.worker  # noqa: F401  # imported for what it imports

torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True)  # imports torch's compiler, 2 s, if nothing has
