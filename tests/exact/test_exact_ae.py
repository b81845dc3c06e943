"""PCA, probabilistic PCA and the linear autoencoder against independent solutions."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal
from sklearn import decomposition
from sklearn.datasets import load_digits

from genbench.model import Batch, DataSpec, dequantize
from genbench_ae.linear_ae import LinearAE
from genbench_ae.pca import PCA
from genbench_ae.ppca import PPCA

VECTORS = DataSpec((6,), "continuous")
DIGITS = DataSpec((1, 8, 8), "discrete", levels=17)
N = 400
#: What losses are multiplied by in searches: torch's L-BFGS learns nothing from steps whose product with the change of
#: the gradient is below 1e-10, and stands still there.
SCALE = 1e6


@pytest.fixture(scope="module")
def vectors():
    """Gaussian points `(400, 6)` with a mean that is not 0, of spreads that are well apart along random axes."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    return torch.tensor(rng.normal(size=(N, 6)) * 1.6 ** -np.arange(6) @ axes + 3.0, dtype=torch.float32)


@pytest.fixture(scope="module")
def digits():
    return torch.tensor(load_digits().images[:, None] / 16.0, dtype=torch.float32)


def fitted(cls, data, x, **options):
    torch.manual_seed(0)
    model = cls(data, cls.Config(**options)).eval()
    scalars = model.update(Batch(x), 0.0)
    assert model.done
    return model, float(scalars["loss"])


def loading(model):
    """W = Vᵀ(L - s²I)^½, `(D, q)`."""
    return model.components.T * (model.variances - model.noise).sqrt()


def test_pca_spans_the_reference_subspace(digits):
    train, test = digits[:1000], digits[1000:]
    model, loss = fitted(PCA, DIGITS, train, latent_dim=10)
    reference = decomposition.PCA(10, svd_solver="full").fit(train.flatten(1).double().numpy())
    cosines = np.linalg.svd(model.components.numpy() @ reference.components_.T)[1]
    np.testing.assert_allclose(cosines, 1.0, atol=1e-5)
    restored = reference.inverse_transform(reference.transform(test.flatten(1).double().numpy()))
    error = ((restored - test.flatten(1).numpy()) ** 2).sum(1).mean()
    assert float(model.validation_loss(Batch(test))) == pytest.approx(error, rel=1e-5)
    assert loss == pytest.approx(float(model.validation_loss(Batch(train))), rel=1e-5)


def minimised(data, x, latent_dim):
    """`linear_ae` in float64 where its own loss on `x` is least."""
    torch.manual_seed(3)
    model = LinearAE(data, LinearAE.Config(latent_dim=latent_dim)).double()
    model.setup(Batch(x[:100]))
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=1500,
        history_size=30,
        tolerance_grad=1e-7 * SCALE,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        loss = SCALE * model.loss(Batch(x), 1.0)["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    return model.eval()


@pytest.mark.parametrize("latent_dim", [2, 10])
def test_the_linear_ae_finds_the_principal_subspace_of_digits(digits, latent_dim):
    train, test = digits[:1000].double(), digits[1000:].double()
    model = minimised(DIGITS, train, latent_dim)
    reference = decomposition.PCA(latent_dim, svd_solver="full").fit(train.flatten(1).numpy())
    decoding = next(model.decoder.parameters()).detach().numpy()
    assert float(subspace_angles(decoding, reference.components_.T).max()) < 1e-3
    restored = reference.inverse_transform(reference.transform(test.flatten(1).numpy()))
    error = np.square(restored - test.flatten(1).numpy()).sum(1).mean()
    with torch.no_grad():
        assert float(model.validation_loss(Batch(test))) == pytest.approx(error, rel=1e-4)


def test_both_layers_of_the_linear_ae_together_project_onto_the_principal_subspace(vectors):
    model = minimised(VECTORS, vectors.double(), 2)
    axes = decomposition.PCA(2, svd_solver="full").fit(vectors.double().numpy()).components_
    encoding, _, decoding, _ = (parameter.detach().numpy() for parameter in model.parameters())
    for own in (encoding.T, decoding):
        assert float(subspace_angles(own, axes.T).max()) < 1e-5
    np.testing.assert_allclose(decoding @ encoding, axes.T @ axes, atol=1e-5)
    with torch.no_grad():  # and the origin is the mean, which minimising found from a batch's
        mean = vectors.double().mean(0, keepdim=True)
        torch.testing.assert_close(model.reconstruct(mean), mean, rtol=0, atol=1e-5)


def test_principal_directions_other_than_the_leading_ones_are_a_saddle_of_the_linear_ae(vectors):
    """There the gradient vanishes, but a turn towards a leading direction has less error (Baldi & Hornik 1989)."""
    axes = torch.from_numpy(decomposition.PCA(6, svd_solver="full").fit(vectors.double().numpy()).components_)
    model = LinearAE(VECTORS, LinearAE.Config(latent_dim=2)).double()
    x = vectors.double()

    def loss(V):
        with torch.no_grad():
            encoding, bias, decoding, origin = model.parameters()
            encoding.copy_(V)
            decoding.copy_(V.T)
            origin.copy_(x.mean(0))
            bias.copy_(-V @ origin)
        return model.loss(Batch(x), 1.0)["loss"]

    for chosen, saddle in (((0, 1), False), ((0, 2), True), ((3, 5), True)):
        found = loss(axes[list(chosen)])
        gradients = torch.autograd.grad(found, list(model.parameters()))
        at = found.item()
        assert all(float(gradient.abs().max()) < 1e-10 * at for gradient in gradients)
        turned = axes[list(chosen)].clone()
        turned[1] = math.cos(1e-3) * turned[1] + math.sin(1e-3) * axes[1 if saddle else 2]
        assert (loss(turned).item() < at) is saddle


@pytest.mark.mnist
def test_pca_of_mnist_has_the_published_error():
    """Hinton & Salakhutdinov 2006 report 13.87 for the test set at 30 components, trained on all 60,000 images."""
    raw = Path(os.environ["GENBENCH_DATA"]) / "MNIST" / "raw"
    train, test = (
        torch.frombuffer(bytearray((raw / f"{part}-images-idx3-ubyte").read_bytes()[16:]), dtype=torch.uint8)
        .view(-1, 1, 28, 28)
        .float()
        .div(255)
        for part in ("train", "t10k")
    )
    model, _ = fitted(PCA, DataSpec((1, 28, 28), "discrete", levels=256), train, latent_dim=30)
    assert float(model.validation_loss(Batch(test))) == pytest.approx(13.87, abs=0.005)


def test_ppca_density_is_the_multivariate_normal(vectors):
    model, loss = fitted(PPCA, VECTORS, vectors, latent_dim=2)
    W = loading(model).numpy()
    normal = multivariate_normal(model.mean.numpy(), W @ W.T + float(model.noise) * np.eye(6))
    expected = normal.logpdf(vectors.double().numpy())
    np.testing.assert_allclose(model.log_prob(vectors).numpy(), expected, rtol=1e-9)
    assert loss == pytest.approx(-expected.mean(), rel=1e-9)
    assert float(model.validation_loss(Batch(vectors))) == pytest.approx(-expected.mean(), rel=1e-9)


def test_ppca_is_the_reference_with_n_in_place_of_n_less_1(vectors):
    model, _ = fitted(PPCA, VECTORS, vectors, latent_dim=3)
    reference = decomposition.PCA(3, svd_solver="full").fit(vectors.double().numpy())
    np.testing.assert_allclose(model.variances.numpy() * N / (N - 1), reference.explained_variance_, rtol=1e-9)
    assert float(model.noise) * N / (N - 1) == pytest.approx(reference.noise_variance_, rel=1e-9)
    assert float(model.log_prob(vectors).mean()) > reference.score(vectors.double().numpy())
    model.variances *= N / (N - 1)
    model.noise *= N / (N - 1)
    np.testing.assert_allclose(
        model.log_prob(vectors).numpy(), reference.score_samples(vectors.double().numpy()), rtol=1e-9
    )


def test_ppca_is_a_fixed_point_of_em(vectors):
    """One step of Tipping & Bishop 1999, equations 29 and 30, on the sample covariance."""
    model, _ = fitted(PPCA, VECTORS, vectors, latent_dim=2)
    S = torch.tensor(np.cov(vectors.double().numpy().T, bias=True))
    W, noise = loading(model), model.noise
    M = W.T @ W + noise * torch.eye(2, dtype=torch.float64)
    new_W = S @ W @ torch.linalg.inv(noise * torch.eye(2, dtype=torch.float64) + torch.linalg.inv(M) @ W.T @ S @ W)
    new_noise = (S - S @ W @ torch.linalg.inv(M) @ new_W.T).trace() / 6
    torch.testing.assert_close(new_W, W, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(new_noise, noise, rtol=1e-8, atol=1e-10)


def test_ppca_codes_are_the_posterior_mean(vectors):
    model, _ = fitted(PPCA, VECTORS, vectors, latent_dim=2)
    W = loading(model)
    C = W @ W.T + model.noise * torch.eye(6, dtype=torch.float64)
    expected = (vectors.double() - model.mean) @ torch.linalg.solve(C, W)
    torch.testing.assert_close(model.encode(vectors), expected.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.reconstruct(vectors), (model.mean + expected @ W.T).float(), rtol=1e-4, atol=1e-4)


def test_ppca_fits_the_noise_of_dequantisation_exactly(digits):
    """Training on levels with the noise's own variance added is training on infinitely many dequantised copies."""
    model, loss = fitted(PPCA, DIGITS, digits, latent_dim=20)
    volume = 64 * math.log(17)
    draws = torch.stack([volume - model.log_prob(dequantize(digits, 17)).mean() for _ in range(40)])
    stderr = float(draws.std()) / math.sqrt(len(draws))
    assert float(draws.mean()) == pytest.approx(loss, abs=5 * stderr)
    assert stderr < 0.02


def test_ppca_samples_have_the_fitted_moments(vectors):
    model, _ = fitted(PPCA, VECTORS, vectors, latent_dim=2)
    n = 20_000
    x = model.sample(n).double()
    W = loading(model)
    C = W @ W.T + model.noise * torch.eye(6, dtype=torch.float64)
    mean_stderr = (C.diagonal() / n).sqrt()
    assert bool(((x.mean(0) - model.mean).abs() < 5 * mean_stderr).all())
    # the variance of an entry of a Gaussian sample's covariance is (C_ii C_jj + C_ij²)/n
    covariance_stderr = ((torch.outer(C.diagonal(), C.diagonal()) + C.square()) / n).sqrt()
    assert bool(((torch.cov(x.T) - C).abs() < 5 * covariance_stderr).all())
