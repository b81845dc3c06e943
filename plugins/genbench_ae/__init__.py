"""The autoencoder family: principal components, their probabilistic form, and a deep autoencoder."""

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_models() -> Iterator[genbench.ModelEntry]:
    """The models of this family."""
    yield genbench.ModelEntry(
        "pca",
        "genbench_ae.pca:PCA",
        family="ae",
        summary="principal component analysis, in closed form: the best linear autoencoder",
        reference="Pearson 1901; Hotelling 1933",
    )
    yield genbench.ModelEntry(
        "ppca",
        "genbench_ae.ppca:PPCA",
        family="ae",
        summary="probabilistic PCA, its maximum likelihood in closed form: a Gaussian of low rank plus noise",
        reference="Tipping & Bishop 1999",
    )
    yield genbench.ModelEntry(
        "ae",
        "genbench_ae.ae:AE",
        family="ae",
        summary="deep undercomplete autoencoder, convolutional or fully connected",
        reference="Hinton & Salakhutdinov 2006",
    )


@genbench.hookimpl
def genbench_selftests() -> Iterator[genbench.SelftestEntry]:
    """The proofs of these models."""
    yield genbench.SelftestEntry(
        "linear-autoencoder",
        "genbench_ae.selftest:linear_autoencoder",
        summary="a linear autoencoder finds the principal subspace",
    )
    yield genbench.SelftestEntry(
        "ppca",
        "genbench_ae.selftest:ppca",
        summary="probabilistic PCA against the multivariate normal",
    )
