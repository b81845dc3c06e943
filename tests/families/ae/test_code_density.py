"""The density of codes against scikit-learn's and scipy's, and where codes are few, equal, dead or many-dimensional."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn import neighbors
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import LeaveOneOut, cross_val_score

from genbench_ae.density import KERNELS, MIN_VARIANCE, CodeDensity, DensityConfig, KernelDensity

KINDS = ("gaussian", "mixture", "kernel")


def clusters(n=600, dims=3, seed=0):
    """Codes `(n, dims)` in three correlated clusters of unequal size."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), n, replacement=True, generator=generator)
    centres = 4 * torch.randn(3, dims, generator=generator)
    roots = torch.randn(3, dims, dims, generator=generator) / math.sqrt(dims)
    noise = torch.randn(n, dims, 1, generator=generator)
    return centres[which] + (roots[which] @ noise).squeeze(2)


def fitted(codes, kind, **options):
    density = CodeDensity(codes.shape[1], DensityConfig(density=kind, **options))
    density.fit(codes)
    return density


def test_before_it_is_fitted_it_is_the_standard_normal():
    z = torch.randn(20, 4)
    known = multivariate_normal(np.zeros(4), np.eye(4)).logpdf(z.numpy())
    for kind in KINDS:
        density = CodeDensity(4, DensityConfig(density=kind)).distribution()
        np.testing.assert_allclose(density.log_prob(z).numpy(), known, rtol=1e-5)


def test_the_gaussian_is_the_maximum_likelihood():
    z = clusters().double()
    density = CodeDensity(z.shape[1], DensityConfig(density="gaussian")).double()
    density.fit(z)
    found = density.distribution().log_prob(z).numpy()
    floor = MIN_VARIANCE * z.var(0, correction=0).mean().item()  # along any direction, for the sake of dead units
    covariance = np.cov(z.numpy().T, bias=True) + floor * np.eye(z.shape[1])
    known = multivariate_normal(z.mean(0).numpy(), covariance).logpdf(z.numpy())
    np.testing.assert_allclose(found, known, atol=1e-9)


@pytest.mark.parametrize("components", [1, 3, 10])
def test_the_mixture_is_scikit_learns(components):
    z, other = clusters(), clusters(200, seed=1)
    density = fitted(z, "mixture", components=components)
    known = GaussianMixture(components, reg_covar=1e-6 * float(z.var(0, correction=0).mean()), tol=1e-2, random_state=0)
    known.fit(z.double().numpy())
    for points in (z, other):
        found = density.distribution().log_prob(points).numpy()
        np.testing.assert_allclose(found, known.score_samples(points.double().numpy()), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("n", [40, 600])
def test_the_kernel_density_is_scikit_learns(n):
    z, other = clusters(n), clusters(200, seed=1)
    density = fitted(z, "kernel")
    # one leaf, as the bounds by which its tree leaves out branches lose their digits far from all codes
    known = neighbors.KernelDensity(bandwidth=float(density.scales), leaf_size=n).fit(z.double().numpy())
    for points in (z, other):
        found = density.distribution().log_prob(points).numpy()
        np.testing.assert_allclose(found, known.score_samples(points.double().numpy()), rtol=1e-5, atol=1e-4)


def test_the_kernels_width_has_the_best_cross_validated_likelihood_of_those_tried():
    z = clusters(80).double().numpy()
    spread = math.sqrt(z.var(0).mean())
    widths = np.geomspace(0.02, 1.0, 12) * spread
    scores = [cross_val_score(neighbors.KernelDensity(bandwidth=h), z, cv=LeaveOneOut()).mean() for h in widths]
    best = int(np.argmax(scores))
    assert 0 < best < len(widths) - 1
    density = fitted(torch.from_numpy(z).float(), "kernel")
    assert float(density.scales) == pytest.approx(widths[best], rel=1e-5)


def test_a_kernel_density_stands_on_no_more_codes_than_it_holds():
    z = clusters(KERNELS + 500)
    density = fitted(z, "kernel")
    assert torch.equal(density.means, z[:KERNELS])
    torch.testing.assert_close(density.weights, torch.full((KERNELS,), 1 / KERNELS))


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_moments_of_the_density(kind):
    z = clusters()
    density = fitted(z, kind)
    torch.manual_seed(0)
    n = 40_000
    drawn = density.distribution().sample((n,)).double()
    weights, means = density.weights.double(), density.means.double()
    inner = torch.eye(3) * density.scales**2 if kind == "kernel" else density.scales @ density.scales.mT
    mean = weights @ means
    covariance = torch.einsum("k,ki,kj->ij", weights, means - mean, means - mean)
    covariance += inner.double() if kind == "kernel" else torch.einsum("k,kij->ij", weights, inner.double())
    assert bool(((drawn.mean(0) - mean).abs() < 5 * (covariance.diagonal() / n).sqrt()).all())
    products = torch.einsum("ni,nj->nij", drawn - mean, drawn - mean)
    assert bool(((products.mean(0) - covariance).abs() < 5 * products.std(0) / math.sqrt(n)).all())


def test_samples_of_a_kernel_density_come_in_any_shape():
    density = KernelDensity(torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 0.0], [9.0, 9.0]]), torch.tensor(0.1))
    torch.manual_seed(0)
    z = density.sample((200, 2))
    assert z.shape == (200, 2, 2)
    assert float(z.abs().max()) < 1  # what has no weight is not drawn
    assert density.sample().shape == (2,)
    assert density.log_prob(z[0]).shape == (2,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [1, 3, 300])
def test_it_survives_a_checkpoint_and_is_fitted_alike_again(kind, dims):
    z = clusters(200, dims)
    density = fitted(z, kind)
    other = CodeDensity(dims, DensityConfig(density=kind))
    other.load_state_dict(density.state_dict())
    again = copy.deepcopy(other)
    again.fit(clusters(100, dims, seed=1))
    again.fit(z)
    for same in (other, again):
        assert all(map(torch.equal, density.state_dict().values(), same.state_dict().values()))
        assert torch.equal(density.distribution().log_prob(z), same.distribution().log_prob(z))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [1, 3, 40])
def test_its_gradient_is_that_of_the_log_density(kind, dims):
    z = clusters(300, dims)
    density = fitted(z, kind).double().distribution()
    points = z[:5].double().add(0.1).requires_grad_()
    assert torch.autograd.gradcheck(density.log_prob, points, atol=1e-4)
    far = (100 * z[:5]).double().requires_grad_()
    (gradient,) = torch.autograd.grad(density.log_prob(far).sum(), far)
    assert bool(torch.isfinite(gradient).all())


def dead():
    z = clusters(300, 6)
    z[:, 3:] = torch.tensor([0.0, 5.0, -80.0])
    return z


DEGENERATE = {
    "two": torch.tensor([[0.0, 1.0], [1.0, 3.0]]),
    "three": clusters(3, 5),
    "fewer than dimensions": clusters(30, 100),
    "dead units": dead(),
    "all zero": torch.zeros(100, 4),
    "all alike": torch.full((100, 4), 7.0),
    "two values": torch.tensor([[0.0], [1.0]]).repeat(50, 3),
    "one dimension": clusters(100, 1),
    "large": clusters(300, 4) * 1e4,
    "small": clusters(300, 4) * 1e-4,
    "far away": clusters(300, 4) + 1000,
    "overcomplete": clusters(300, 600),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codes", DEGENERATE.values(), ids=DEGENERATE)
def test_any_codes_have_a_density_that_is_finite_and_can_be_climbed(kind, codes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        density = fitted(codes, kind).distribution()
    torch.manual_seed(0)
    for z in (codes[:20], density.sample((20,))):
        points = z.clone().requires_grad_()
        log_prob = density.log_prob(points)
        (gradient,) = torch.autograd.grad(log_prob.sum(), points)
        assert log_prob.shape == (len(z),)
        assert bool(torch.isfinite(log_prob).all())
        assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("kind", KINDS)
def test_dead_units_stay_dead(kind):
    z = dead()
    density = fitted(z, kind)
    torch.manual_seed(0)
    drawn = density.distribution().sample((2000,))
    spread = float(z.var(0).mean().sqrt())
    width = float(density.scales) if kind == "kernel" else 1e-3 * spread
    assert bool(((drawn[:, 3:] - z[:1, 3:]).abs() < 6 * width).all())


def test_few_or_large_codes_have_fewer_gaussians():
    assert int((fitted(clusters(600, 3), "mixture").weights > 0).sum()) == 10
    assert int((fitted(clusters(60, 3), "mixture").weights > 0).sum()) == 5
    assert int((fitted(clusters(6, 3), "mixture").weights > 0).sum()) == 1
    assert len(CodeDensity(256, DensityConfig()).weights) == 2
    assert len(CodeDensity(1000, DensityConfig()).weights) == 1


def test_unseen_codes_are_likelier_under_fewer_gaussians_where_codes_are_few():
    """What the rule is for: ten Gaussians of 40 dimensions fit 400 codes and no others."""
    z, unseen = clusters(400, 40), clusters(4000, 40)[400:]
    full = GaussianMixture(10, reg_covar=1e-6 * float(z.var(0).mean()), random_state=0).fit(z.double().numpy())
    own = fitted(z, "mixture").distribution().log_prob(unseen)
    assert float(own.mean()) > full.score(unseen.double().numpy()) + 10


@pytest.mark.parametrize("kind", KINDS)
def test_codes_that_nothing_can_be_fitted_to_are_refused(kind):
    with pytest.raises(ValueError, match="codes that are not finite"):
        fitted(torch.tensor([[0.0], [math.nan], [1.0]]), kind)
    with pytest.raises(ValueError, match="at least, these are 1"):
        fitted(torch.zeros(1, 3), kind)
