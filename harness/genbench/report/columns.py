"""The columns of a table: their order, and which of them fit a narrow page."""

from __future__ import annotations

from collections.abc import Collection, Iterable

#: The built-in columns in the order in which they are shown; those of third-party metrics follow.
ORDER = (
    "bits_per_dim",
    "log_likelihood",
    "elbo",
    "fid",
    "kid",
    "precision",
    "recall",
    "reconstruction_mse",
    "knn_accuracy",
    "knn_vs_pca",
    "probe_accuracy",
    "probe_vs_pca",
    "silhouette",
    "silhouette_vs_pca",
    "train_images_per_s",
    "sample_images_per_s",
    "latency_ms",
    "peak_memory_mib",
    "parameters",
    "flops_per_image",
)

#: Built-in columns that are left to the wide formats (HTML, CSV, JSON) unless they are asked for.
WIDE_ONLY = frozenset(
    {
        "elbo",
        "knn_accuracy",
        "probe_accuracy",
        "silhouette",
        "silhouette_vs_pca",
        "latency_ms",
        "peak_memory_mib",
        "parameters",
        "flops_per_image",
    }
)

#: Shown in the narrow formats only where the column named is missing, as for continuous data.
STANDS_IN = {"log_likelihood": "bits_per_dim"}

_RANK = {name: rank for rank, name in enumerate(ORDER)}


def in_order(names: Iterable[str]) -> list[str]:
    """The names in display order: the built-in ones, then the others as they came."""
    return sorted(dict.fromkeys(names), key=lambda name: _RANK.get(name, len(ORDER)))


def is_main(name: str, names: Collection[str]) -> bool:
    """Whether the column belongs into a narrow table that has the columns `names`."""
    return name not in WIDE_ONLY and not (name in STANDS_IN and STANDS_IN[name] in names)


#: What the built-in columns say, in a few words.
MEANINGS = {
    "bits_per_dim": "negative log-likelihood of test data, in bits per dimension of the original data",
    "log_likelihood": "mean log-likelihood of a test data point",
    "elbo": "evidence lower bound: what the model's own posterior proves about its log-likelihood",
    "fid": "Fréchet distance between features of samples and of training data",
    "kid": "kernel distance (squared MMD) between the same features",
    "precision": "share of samples that lie near real data",
    "recall": "share of real data that lies near samples",
    "reconstruction_mse": "mean squared error of reconstructed test data",
    "knn_accuracy": "accuracy of a nearest-neighbour classifier on the codes",
    "knn_vs_pca": "the same, less what PCA of the same dimension gets",
    "probe_accuracy": "accuracy of a linear classifier on the codes",
    "probe_vs_pca": "the same, less what PCA of the same dimension gets",
    "silhouette": "how compact the classes are among the codes, from -1 to 1",
    "silhouette_vs_pca": "the same, less that of PCA of the same dimension",
    "train_images_per_s": "training speed",
    "sample_images_per_s": "sampling speed",
    "latency_ms": "time to draw a single sample",
    "peak_memory_mib": "most memory held while training",
    "parameters": "number of trained numbers",
    "flops_per_image": "floating-point operations to train on one data point",
}
