"""The autoencoder family: principal components, and networks that squeeze, corrupt or penalise their codes."""

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
        "linear_ae",
        "genbench_ae.linear_ae:LinearAE",
        family="ae",
        summary="a linear layer each way, trained by gradients: it finds the principal subspace",
        reference="Baldi & Hornik 1989",
    )
    yield genbench.ModelEntry(
        "ae",
        "genbench_ae.ae:AE",
        family="ae",
        summary="deep autoencoder, convolutional or fully connected",
        reference="Hinton & Salakhutdinov 2006",
    )
    yield genbench.ModelEntry(
        "dae",
        "genbench_ae.dae:DAE",
        family="ae",
        summary="denoising autoencoder: restores clean data from Gaussian, masking or salt-and-pepper noise",
        reference="Vincent et al. 2008",
    )
    yield genbench.ModelEntry(
        "sparse_ae",
        "genbench_ae.sparse_ae:SparseAE",
        family="ae",
        summary="autoencoder whose hidden units are kept quiet by KL, L1 or L2 penalties",
        reference="Ng 2011; Lee, Ekanadham & Ng 2008",
    )
    yield genbench.ModelEntry(
        "ksparse_ae",
        "genbench_ae.ksparse_ae:KSparseAE",
        family="ae",
        summary="autoencoder whose codes have exactly k numbers that are not zero",
        reference="Makhzani & Frey 2014",
    )
    yield genbench.ModelEntry(
        "cae",
        "genbench_ae.cae:CAE",
        family="ae",
        summary="contractive autoencoder: codes that move little when the data does",
        reference="Rifai et al. 2011",
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
    yield genbench.SelftestEntry(
        "code-density",
        "genbench_ae.selftest:code_density",
        summary="the densities of codes against scikit-learn's",
    )
    yield genbench.SelftestEntry(
        "ksparse-autoencoder",
        "genbench_ae.selftest_codes:ksparse",
        summary="k-sparse codes have exactly k numbers that are not 0",
    )
    yield genbench.SelftestEntry(
        "contractive-autoencoder",
        "genbench_ae.selftest_codes:contractive",
        summary="the contractive penalty against the Jacobian's Frobenius norm",
    )
    yield genbench.SelftestEntry(
        "linear-denoising",
        "genbench_ae.selftest_dae:linear_denoising",
        summary="a linear denoising autoencoder meets the closed form of each corruption",
    )
    yield genbench.SelftestEntry(
        "sparse-penalties",
        "genbench_ae.selftest_sparse_ae:sparse_penalties",
        summary="the penalties of the sparse autoencoder by their definitions",
    )
