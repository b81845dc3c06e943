"""The contractive penalty against Jacobians that are found otherwise, and what k-sparse codes must be."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genbench import Check
from genbench.model import Batch, DataSpec
from genbench_ae.ae import AE
from genbench_ae.cae import CAE
from genbench_ae.ksparse_ae import KSparseAE

IMAGES = DataSpec((1, 8, 8), "discrete", levels=17)
POINTS, PROBES = 6, 4000


def contractive() -> Iterator[Check]:
    """The penalty of a contractive autoencoder is |J|² of its code: in closed form for one sigmoid layer, row by row
    and, on average, by random probes for deeper ones. J itself comes from `torch.autograd.functional.jacobian`."""
    x = _images(POINTS).double()
    for name, options in (
        ("one sigmoid layer, closed form", {"layers": 0}),
        ("fully connected, exact", {"nodes": "20-10", "jacobian": "exact"}),
        ("convolutional, exact", {"network": "conv", "width": 4, "jacobian": "exact"}),
    ):
        model = CAE(IMAGES, CAE.Config(latent_dim=5, **options)).double()
        yield Check(name, _penalty(model, x), _own(model, x), tolerance=1e-10)
    model = CAE(IMAGES, CAE.Config(latent_dim=5, nodes="20-10", jacobian="hutchinson")).double()
    draws = [_own(model, x) for _ in range(PROBES)]
    yield Check.of_mean("fully connected, random probes", _penalty(model, x), draws)


def ksparse() -> Iterator[Check]:
    """Codes have exactly k numbers that are not 0, and with k as large as the code the loss is the autoencoder's."""
    x = _images(200)
    k = 7
    model = KSparseAE(IMAGES, KSparseAE.Config(k=k)).eval()
    options = {"latent_dim": 100, "network": "mlp", "layers": 0}
    ae = AE(IMAGES, AE.Config(**options))
    every = KSparseAE(IMAGES, KSparseAE.Config(k=100, **options))
    every.load_state_dict(ae.state_dict())
    with torch.no_grad():
        counts = model.encode(x).count_nonzero(dim=1)
        known, own = (float(each.loss(Batch(x), 1.0)["loss"]) for each in (ae, every))
    yield Check("fewest numbers that are not 0", k, float(counts.min()), tolerance=0.5)
    yield Check("most numbers that are not 0", k, float(counts.max()), tolerance=0.5)
    yield Check("loss with every number kept", known, own, tolerance=1e-12)


def _images(n: int) -> Tensor:
    return torch.randint(IMAGES.levels or 0, (n, *IMAGES.shape)) / 16


def _penalty(model: CAE, x: Tensor) -> float:
    """The mean over data points of |J|²."""
    jacobians = [torch.autograd.functional.jacobian(model.encode, point[None]) for point in x]
    return float(torch.stack([jacobian.square().sum() for jacobian in jacobians]).mean())


def _own(model: CAE, x: Tensor) -> float:
    with torch.enable_grad():
        points = x.clone().requires_grad_()
        code = model.encode(points)
    return float(model.contraction(code, points).mean().detach())
