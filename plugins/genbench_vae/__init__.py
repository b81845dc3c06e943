"""The variational autoencoder family: Gaussian codes of one level and of several, with and without labels, and discrete
codes."""

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_models() -> Iterator[genbench.ModelEntry]:
    """The models of this family."""
    yield genbench.ModelEntry(
        "vae",
        "genbench_vae.vae:VAE",
        family="vae",
        summary="variational autoencoder with a Gaussian code, convolutional or fully connected",
        reference="Kingma & Welling 2014",
    )
    yield genbench.ModelEntry(
        "beta_vae",
        "genbench_vae.beta_vae:BetaVAE",
        family="vae",
        summary="VAE whose divergence from the prior weighs beta times as much",
        reference="Higgins et al. 2017",
    )
    yield genbench.ModelEntry(
        "iwae",
        "genbench_vae.iwae:IWAE",
        family="vae",
        summary="VAE trained on the bound of K importance-weighted samples",
        reference="Burda, Grosse & Salakhutdinov 2016",
    )
    yield genbench.ModelEntry(
        "linear_vae",
        "genbench_vae.linear_vae:LinearVAE",
        family="vae",
        summary="VAE of linear networks, whose optimum is probabilistic PCA",
        reference="Lucas et al. 2019",
    )
    yield genbench.ModelEntry(
        "cvae",
        "genbench_vae.cvae:CVAE",
        family="vae",
        summary="VAE of p(x|y), its prior independent of the label or a network of it",
        reference="Sohn, Lee & Yan 2015",
    )
    yield genbench.ModelEntry(
        "ssvae",
        "genbench_vae.ssvae:SSVAE",
        family="vae",
        summary="semi-supervised VAE (M2) that classifies from few labels",
        reference="Kingma et al. 2014",
    )
    yield genbench.ModelEntry(
        "hvae",
        "genbench_vae.hvae:HVAE",
        family="vae",
        summary="VAE with several levels of codes, inferred bottom-up and generated top-down",
        reference="Rezende, Mohamed & Wierstra 2014; Burda, Grosse & Salakhutdinov 2016",
    )
    yield genbench.ModelEntry(
        "ladder_vae",
        "genbench_vae.ladder_vae:LadderVAE",
        family="vae",
        summary="VAE with several levels, whose posterior merges what rises with what comes down",
        reference="Sønderby et al. 2016",
    )
    yield genbench.ModelEntry(
        "vqvae",
        "genbench_vae.vqvae:VQVAE",
        family="vae",
        summary="vector-quantised autoencoder with an autoregressive prior over its grid of codes",
        reference="van den Oord, Vinyals & Kavukcuoglu 2017",
    )


@genbench.hookimpl
def genbench_selftests() -> Iterator[genbench.SelftestEntry]:
    """The proofs of these models."""
    yield genbench.SelftestEntry(
        "vae",
        "genbench_vae.selftest_gaussian:one_dimension",
        summary="the VAE in one dimension against the closed form of its ELBO's optimum",
    )
    yield genbench.SelftestEntry(
        "cvae",
        "genbench_vae.selftest_labels:cvae",
        summary="the conditional VAE with a linear decoder against its normal density of each class",
    )
    yield genbench.SelftestEntry(
        "ssvae",
        "genbench_vae.selftest_labels:ssvae",
        summary="the semi-supervised VAE's bounds against quadrature and sums over labels and images",
    )
    yield genbench.SelftestEntry(
        "levels_vae",
        "genbench_vae.selftest_levels:levels",
        summary="VAEs of two levels against a linear-Gaussian model, and of one level against the VAE",
    )
    yield genbench.SelftestEntry(
        "vqvae",
        "genbench_vae.selftest:vqvae",
        summary="the VQ-VAE against sums over all grids of codes and all images",
    )
