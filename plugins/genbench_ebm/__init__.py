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


@genbench.hookimpl
def genbench_selftests() -> Iterator[genbench.SelftestEntry]:
    """The proofs of these models."""
    yield genbench.SelftestEntry(
        "rbm",
        "genbench_ebm.selftest:rbm",
        summary="a restricted Boltzmann machine against sums over all its states",
    )
