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
        "ais",
        "genbench.metrics.ais:AnnealedImportance",
        summary="log-likelihood of decoders and energy models by annealed importance sampling, from both sides; slow",
        reference="Neal 2001; Grosse, Ghahramani & Adams 2015; Wu et al. 2017",
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
        "density_coverage",
        "genbench.metrics.fidelity:DensityCoverage",
        summary="how densely samples lie among the data, and how much of the data has samples near",
        reference="Naeem et al. 2020",
        default=True,
    )
    yield genbench.MetricEntry(
        "memorisation",
        "genbench.metrics.memorisation:Memorisation",
        summary="share of samples that copy training data, by whether they are nearer to it than to held-out data",
        reference="Meehan, Chaudhuri & Dasgupta 2020",
        default=True,
    )
    yield genbench.MetricEntry(
        "inception_score",
        "genbench.metrics.inception_score:InceptionScore",
        summary="how recognisable and varied samples are to a classifier of photographs",
        reference="Salimans et al. 2016",
    )
    yield genbench.MetricEntry(
        "reconstruction",
        "genbench.metrics.reconstruction:Reconstruction",
        summary="squared error per dimension of reconstructed test points",
        default=True,
    )
    yield genbench.MetricEntry(
        "classification",
        "genbench.metrics.classification:Classification",
        summary="share of test points that a semi-supervised model gets the class of wrong",
        reference="Wilson 1927",
        default=True,
    )
    yield genbench.MetricEntry(
        "separation",
        "genbench.metrics.latent:Separation",
        summary="how well codes keep classes apart, against PCA at the same dimension",
        default=True,
    )
    yield genbench.MetricEntry(
        "collapse",
        "genbench.metrics.collapse:Collapse",
        summary="how many latent variables are in use, and how far the posterior is from the prior",
        reference="Burda, Grosse & Salakhutdinov 2016",
        default=True,
    )
    yield genbench.MetricEntry(
        "disentanglement",
        "genbench.metrics.disentanglement:Disentanglement",
        summary="whether each code stands for one of the factors that made the data (sprites)",
        reference="Chen et al. 2018; Kumar et al. 2018; Eastwood & Williams 2018",
        default=True,
    )
    yield genbench.MetricEntry(
        "denoising",
        "genbench.metrics.denoising:Denoising",
        summary="signal-to-noise ratio of noisy test points after reconstruction, in dB",
        reference="Vincent et al. 2008",
        default=True,
    )
    yield genbench.MetricEntry(
        "imputation",
        "genbench.metrics.imputation:Imputation",
        summary="squared error of the missing half of test points, filled in by reconstructing again and again",
        reference="Rezende, Mohamed & Wierstra 2014",
        default=True,
    )
    yield genbench.MetricEntry(
        "anomaly",
        "genbench.metrics.anomaly:Anomaly",
        summary="how well codes and reconstruction errors tell a class that was held out (digits[holdout=3])",
        reference="DeLong, DeLong & Clarke-Pearson 1988",
        default=True,
    )
    yield genbench.MetricEntry(
        "compression",
        "genbench.metrics.compression:Compression",
        summary="bits that a quantised code costs at about the error of the code itself",
        reference="Gish & Pierce 1968",
        default=True,
    )
    yield genbench.MetricEntry(
        "arithmetic",
        "genbench.metrics.arithmetic:Arithmetic",
        summary="whether adding a mean difference of codes changes the attribute that it stands for, and no other",
        reference="Radford, Metz & Chintala 2016; Larsen et al. 2016",
        default=True,
    )
    yield genbench.MetricEntry(
        "codebook",
        "genbench.metrics.codebook:Codebook",
        summary="share and perplexity of the codebook's vectors in use, and the bound with a uniform prior over them",
        reference="van den Oord, Vinyals & Kavukcuoglu 2017",
        default=True,
    )
    yield genbench.MetricEntry(
        "throughput",
        "genbench.metrics.throughput:Throughput",
        summary="images per second in training and sampling, latency, memory, size",
        default=True,
    )


@genbench.hookimpl
def genbench_selftests() -> Iterator[genbench.SelftestEntry]:
    """The proofs of the harness's own estimators."""
    yield genbench.SelftestEntry(
        "linear-gaussian",
        "genbench.selftest.likelihood:linear_gaussian",
        summary="bounds with the exact posterior against the multivariate normal",
    )
    yield genbench.SelftestEntry(
        "importance-bounds",
        "genbench.selftest.likelihood:importance_bounds",
        summary="ELBO and K-sample bounds of an inexact posterior: closed forms and order",
    )
    yield genbench.SelftestEntry(
        "quadrature",
        "genbench.selftest.likelihood:quadrature",
        summary="bounds of a decoder with two latent dimensions against quadrature",
    )
    yield genbench.SelftestEntry(
        "labels",
        "genbench.selftest.likelihood:labels",
        summary="log p(x|y) and log p(x) of a mixture of labelled Gaussians",
    )
    yield genbench.SelftestEntry(
        "ais-decoders",
        "genbench.selftest.annealing:decoders",
        summary="AIS of decoders from both sides, against closed form and quadrature",
    )
    yield genbench.SelftestEntry(
        "ais-energy",
        "genbench.selftest.annealing:energy_models",
        summary="log Z of Boltzmann machines from both sides, against enumeration",
    )
    yield genbench.SelftestEntry(
        "uniform",
        "genbench.selftest.likelihood:uniform",
        summary="uniform distributions score log2(levels) bits per dimension",
    )
    yield genbench.SelftestEntry(
        "levels",
        "genbench.selftest.levels:round_trip",
        summary="quantising undoes dequantising, whose noise is uniform",
    )
    yield genbench.SelftestEntry(
        "logit",
        "genbench.selftest.levels:logit",
        summary="the logit's log-determinant, inverse and mass",
    )
    yield genbench.SelftestEntry(
        "mass",
        "genbench.selftest.levels:mass",
        summary="the mass of densities that are constant in every bin",
    )
    yield genbench.SelftestEntry(
        "small-images",
        "genbench.selftest.enumeration:small_images",
        summary="exact probabilities of discrete data sum to 1 over all small images",
    )
    yield genbench.SelftestEntry(
        "fidelity",
        "genbench.selftest.fidelity:fidelity",
        summary="FID, KID, precision, recall, density and coverage where they are known",
    )
    yield genbench.SelftestEntry(
        "memorisation",
        "genbench.selftest.memorisation:memorisation",
        summary="known shares of copies, and the spread over exchanged labels",
    )
    yield genbench.SelftestEntry(
        "disentanglement",
        "genbench.selftest.disentanglement:disentanglement",
        summary="MIG, SAP and DCI of codes that are the factors, and of random codes",
    )
    yield genbench.SelftestEntry(
        "separation",
        "genbench.selftest.separation:separation",
        summary="rotated PCA codes, classes far apart, the area between two normals",
    )
    yield genbench.SelftestEntry(
        "resampling",
        "genbench.selftest.resampling:resampling",
        summary="the jackknife's textbook cases; what bootstrap intervals hold",
    )
