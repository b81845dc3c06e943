"""Energy-based models."""

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_models() -> Iterator[genbench.ModelEntry]:
    """The models of this family."""
    yield genbench.ModelEntry(
        "rbm",
        "genbench_ebm.rbm:RBM",
        family="ebm",
        summary="restricted Boltzmann machine on binary data, persistent contrastive divergence",
        reference="Smolensky 1986; Tieleman 2008",
    )
