"""Flows, and the trivial density baseline: models with exact densities."""

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_models() -> Iterator[genbench.ModelEntry]:
    """The models of this family."""
    yield genbench.ModelEntry(
        "independent",
        "genbench_flow.independent:Independent",
        family="baseline",
        summary="every dimension on its own: a smoothed histogram, or a Gaussian for real data",
    )
    yield genbench.ModelEntry(
        "realnvp",
        "genbench_flow.realnvp:RealNVP",
        family="flow",
        summary="affine couplings with checkerboard and channel masks at several resolutions",
        reference="Dinh et al. 2017",
    )


@genbench.hookimpl
def genbench_selftests() -> Iterator[genbench.SelftestEntry]:
    """The proofs of these models."""
    yield genbench.SelftestEntry(
        "realnvp",
        "genbench_flow.selftest:realnvp",
        summary="RealNVP's log-determinants, inverses and integrals",
    )
