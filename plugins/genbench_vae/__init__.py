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
