"""The built-in metrics, offered through the same hook as anyone else's; torch-free."""

from __future__ import annotations

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_metrics() -> Iterator[genbench.MetricEntry]:
    """One entry per question, in the order of the table's columns."""
    yield genbench.MetricEntry(
        "likelihood",
        "genbench.metrics.likelihood:Likelihood",
        summary="log-likelihood of the test set, exact or bounded, in nats and bits per dimension",
        reference="Theis, van den Oord & Bethge 2016; Burda, Grosse & Salakhutdinov 2016",
        default=True,
    )
    yield genbench.MetricEntry(
        "fid",
        "genbench.metrics.fidelity:FrechetDistance",
        summary="Fréchet distance between features of samples and of data",
        reference="Heusel et al. 2017",
        default=True,
    )
    yield genbench.MetricEntry(
        "kid",
        "genbench.metrics.fidelity:KernelDistance",
        summary="squared kernel distance (MMD) between features of samples and of data",
        reference="Bińkowski et al. 2018",
        default=True,
    )
    yield genbench.MetricEntry(
        "precision_recall",
        "genbench.metrics.fidelity:PrecisionRecall",
        summary="shares of samples near the data, and of data near the samples, in feature space",
        reference="Kynkäänniemi et al. 2019",
        default=True,
    )
    yield genbench.MetricEntry(
        "reconstruction",
        "genbench.metrics.reconstruction:Reconstruction",
        summary="squared error per dimension of reconstructed test points",
        default=True,
    )
    yield genbench.MetricEntry(
        "separation",
        "genbench.metrics.latent:Separation",
        summary="how well codes keep classes apart, against PCA at the same dimension",
        default=True,
    )
    yield genbench.MetricEntry(
        "throughput",
        "genbench.metrics.throughput:Throughput",
        summary="images per second in training and sampling, latency, memory, size",
        default=True,
    )
