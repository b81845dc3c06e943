"""The variational autoencoder family: one with a continuous and one with a discrete code."""

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
        "vqvae",
        "genbench_vae.selftest:vqvae",
        summary="the VQ-VAE against sums over all grids of codes and all images",
    )
