"""Generative adversarial networks."""

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_models() -> Iterator[genbench.ModelEntry]:
    """The models of this family."""
    yield genbench.ModelEntry(
        "dcgan",
        "genbench_gan.dcgan:DCGAN",
        family="gan",
        summary="convolutional generator and discriminator, non-saturating loss",
        reference="Radford et al. 2016",
    )
