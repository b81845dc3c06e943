"""Linear models of real vectors, and densities of codes, against independent solutions, in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal
from sklearn import decomposition, neighbors
from sklearn.mixture import GaussianMixture
from torch import Tensor

from genbench import Check
from genbench.model import Batch, DataSpec
from genbench_ae.density import CodeDensity, DensityConfig
from genbench_ae.linear_ae import LinearAE
from genbench_ae.pca import PCA
from genbench_ae.ppca import PPCA

DIMS, CODE = 8, 3
DATA = DataSpec((DIMS,), "continuous")


def linear_autoencoder() -> Iterator[Check]:
    """A linear autoencoder, trained until its gradient vanishes, finds the principal subspace (Baldi & Hornik 1989); so
    does PCA, at once."""
    train, test = _points(200), _points(200)
    known = decomposition.PCA(CODE, svd_solver="full").fit(train.numpy())
    error = float(np.square(known.inverse_transform(known.transform(test.numpy())) - test.numpy()).sum(1).mean())

    pca = PCA(DATA, PCA.Config(latent_dim=CODE)).double()
    pca.update(Batch(train), 0.0)
    ae = _trained(train)
    models: list[tuple[str, PCA | LinearAE, Tensor]] = [
        ("PCA", pca, pca.components.T),
        ("linear AE", ae, next(ae.decoder.parameters()).detach()),
    ]
    for name, model, axes in models:
        angle = float(subspace_angles(axes.numpy(), known.components_.T).max())
        yield Check(f"{name}: largest principal angle", 0.0, angle, tolerance=1e-4)
        with torch.no_grad():
            own = (model.reconstruct(test) - test).square().sum(1).mean().item()
        yield Check(f"{name}: test error", error, own, tolerance=1e-5)


def ppca() -> Iterator[Check]:
    """The density of probabilistic PCA is N(m, WWᵀ + s²I), and no other W and s of its size are more likely."""
    x = _points(200)
    model = PPCA(DATA, PPCA.Config(latent_dim=CODE))
    model.update(Batch(x), 0.0)
    W = (model.components.T * (model.variances - model.noise).sqrt()).numpy()
    normal = multivariate_normal(model.mean.numpy(), W @ W.T + model.noise.item() * np.eye(DIMS))
    known = float(normal.logpdf(x.numpy()).mean())
    yield Check("mean log-density", known, model.log_prob(x).mean().item(), tolerance=1e-9)
    reference = decomposition.PCA(CODE, svd_solver="full").fit(x.numpy())
    best = float(reference.score(x.numpy()))
    yield Check("log-likelihood against scikit-learn's", best, known, tolerance=1e-9, relation="at_least")


def code_density() -> Iterator[Check]:
    """The densities that autoencoders are sampled through are those of scipy and scikit-learn."""
    z = _points(300)
    points = z.numpy()

    def fitted(config: DensityConfig) -> tuple[CodeDensity, float]:
        density = CodeDensity(DIMS, config).double()
        density.fit(z)
        return density, density.distribution().log_prob(z).mean().item()

    _, found = fitted(DensityConfig(density="gaussian"))
    normal = multivariate_normal(points.mean(0), np.cov(points.T, bias=True))
    yield Check("gaussian: mean log-density", float(normal.logpdf(points).mean()), found, tolerance=1e-3)
    _, found = fitted(DensityConfig(density="mixture", components=4))
    mixture = GaussianMixture(4, tol=1e-2, reg_covar=1e-6 * points.var(0).mean(), random_state=0).fit(points)
    yield Check("mixture: mean log-density", float(mixture.score(points)), found, tolerance=1e-6)
    density, found = fitted(DensityConfig(density="kernel"))
    kernel = neighbors.KernelDensity(bandwidth=density.scales.item(), leaf_size=len(points)).fit(points)
    yield Check("kernel: mean log-density", float(kernel.score(points)) / len(points), found, tolerance=1e-6)


def _points(n: int) -> Tensor:
    """Gaussian points `(n, DIMS)` whose principal components are well apart."""
    root = torch.diag(1.5 ** -torch.arange(DIMS, dtype=torch.float64))
    rotation = torch.linalg.qr(torch.randn(DIMS, DIMS, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    return torch.randn(n, DIMS, dtype=torch.float64) @ root @ rotation[0] + 1.0


def _trained(x: Tensor) -> LinearAE:
    """`linear_ae`, its own loss minimised by L-BFGS."""
    model = LinearAE(DATA, LinearAE.Config(latent_dim=CODE)).double()
    model.setup(Batch(x[:50]))
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=1000, tolerance_grad=1e-7, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model.loss(Batch(x), 1.0)["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    return model.eval()
