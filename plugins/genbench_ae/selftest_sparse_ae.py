"""The penalties of the sparse autoencoder against their definitions."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.distributions import Bernoulli, kl_divergence

from genbench import Check
from genbench.model import DataSpec
from genbench_ae.sparse_ae import SparseAE

DATA = DataSpec((6,), "discrete", levels=5)
TARGET = 0.1


def sparse_penalties() -> Iterator[Check]:
    """The KL penalty is that of units' means over the batch: it and its gradient vanish where these are at the target,
    however much the units vary. L1 and L2 are norms per data point."""
    h = torch.rand(40, 5, dtype=torch.float64)
    sparse = SparseAE(DATA, SparseAE.Config(penalty="kl"))
    there = (h * TARGET / h.mean(0)).requires_grad_()
    at_target = sparse.penalty(there, TARGET)
    (gradient,) = torch.autograd.grad(at_target, there)
    yield Check("KL penalty at the target", 0.0, at_target.item(), tolerance=1e-12)
    yield Check("its gradient there", 0.0, gradient.abs().max().item(), tolerance=1e-12)
    known = kl_divergence(Bernoulli(h.new_tensor(TARGET)), Bernoulli(h.mean(0))).sum().item()
    yield Check("KL penalty elsewhere", known, sparse.penalty(h, TARGET).item(), tolerance=1e-9)
    for name, order in (("l1", 1), ("l2", 2)):
        found = SparseAE(DATA, SparseAE.Config(penalty=name)).penalty(h - 0.5, TARGET).item()
        known = (torch.linalg.vector_norm(h - 0.5, order, dim=1) ** order).mean().item()
        yield Check(f"{name.upper()} penalty", known, found, tolerance=1e-9)
