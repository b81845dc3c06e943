"""The columns of a table: their order, and which of them fit a narrow page."""

from __future__ import annotations

from collections.abc import Collection, Iterable

#: The built-in columns in the order in which they are shown; those of third-party metrics follow.
ORDER = (
    "bits_per_dim",
    "log_likelihood",
    "elbo",
    "conditional_bits_per_dim",
    "conditional_log_likelihood",
    "ais_bits_per_dim",
    "ais_log_likelihood",
    "ais_log_likelihood_upper",
    "ais_gap",
    "fid",
    "fid_plugin",
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "memorisation",
    "inception_score",
    "reconstruction_mse",
    "classification_error",
    "knn_accuracy",
    "knn_vs_pca",
    "probe_accuracy",
    "probe_vs_pca",
    "silhouette",
    "silhouette_vs_pca",
    "trustworthiness",
    "trustworthiness_vs_pca",
    "continuity",
    "continuity_vs_pca",
    "active_units",
    "kl",
    "mig",
    "sap",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "denoising_psnr",
    "denoising_gain",
    "imputation_mse",
    "anomaly_code_auroc",
    "anomaly_error_auroc",
    "compression_bits",
    "compression_mse",
    "codebook_usage",
    "codebook_perplexity",
    "uniform_prior_bits_per_dim",
    "uniform_prior_log_likelihood",
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
        "ais_log_likelihood_upper",
        "ais_gap",
        "fid_plugin",
        "density",
        "coverage",
        "knn_accuracy",
        "probe_accuracy",
        "silhouette",
        "silhouette_vs_pca",
        "trustworthiness",
        "trustworthiness_vs_pca",
        "continuity",
        "continuity_vs_pca",
        "kl",
        "sap",
        "dci_completeness",
        "dci_informativeness",
        "anomaly_error_auroc",
        "denoising_psnr",
        "denoising_gain",
        "imputation_mse",
        "compression_bits",
        "compression_mse",
        "codebook_usage",
        "codebook_perplexity",
        "uniform_prior_bits_per_dim",
        "uniform_prior_log_likelihood",
        "latency_ms",
        "peak_memory_mib",
        "parameters",
        "flops_per_image",
    }
)

#: Shown in the narrow formats only where the column named is missing, as for continuous data.
STANDS_IN = {
    "log_likelihood": "bits_per_dim",
    "conditional_log_likelihood": "conditional_bits_per_dim",
    "ais_log_likelihood": "ais_bits_per_dim",
}

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
    "conditional_bits_per_dim": "bits_per_dim of test data given their labels",
    "conditional_log_likelihood": "log_likelihood of test data given their labels",
    "ais_bits_per_dim": "the same as bits_per_dim, by annealed importance sampling",
    "ais_log_likelihood": "the same as log_likelihood, by annealed importance sampling",
    "ais_log_likelihood_upper": "the other side of an energy model's log-likelihood: forward chains flatter it",
    "ais_gap": "between the bounds from both sides: how far off they can be, in nats per data point",
    "fid": "Fréchet distance between features of samples and of training data, corrected for its bias",
    "fid_plugin": "the same without the correction, as other tools report it",
    "kid": "kernel distance (squared MMD) between the same features",
    "precision": "share of samples that lie near real data",
    "recall": "share of real data that lies near samples",
    "density": "how many real data points a sample lies near, relative to what is expected",
    "coverage": "share of real data with a sample among its nearest neighbours",
    "memorisation": "about the share of samples that are copies of training data",
    "inception_score": "how recognisable and varied samples are to a classifier of photographs",
    "reconstruction_mse": "mean squared error of reconstructed test data",
    "classification_error": "share of test data whose most probable class, to the model, is the wrong one",
    "knn_accuracy": "accuracy of a nearest-neighbour classifier on the codes",
    "knn_vs_pca": "the same, less what PCA of the same dimension gets",
    "probe_accuracy": "accuracy of a linear classifier on the codes",
    "probe_vs_pca": "the same, less what PCA of the same dimension gets",
    "silhouette": "how compact the classes are among the codes, from -1 to 1",
    "silhouette_vs_pca": "the same, less that of PCA of the same dimension",
    "trustworthiness": "whether data points with neighbouring codes are neighbours, from 0 to 1",
    "trustworthiness_vs_pca": "the same, less that of PCA of the same dimension",
    "continuity": "whether neighbouring data points have neighbouring codes, from 0 to 1",
    "continuity_vs_pca": "the same, less that of PCA of the same dimension",
    "active_units": "latent variables whose posterior mean varies over test data: the others have collapsed",
    "kl": "divergence of the posterior from the prior: what the ELBO pays for the codes",
    "mig": "by what share of its entropy a factor is known better from one code than from any other",
    "sap": "by how much a factor is predicted better from one code than from any other, by a line or thresholds",
    "dci_disentanglement": "how far each code matters to one factor only, from 0 to 1",
    "dci_completeness": "how far each factor is in one code only, from 0 to 1",
    "dci_informativeness": "how well all codes together predict the factors: 1 is without error, 0 is guessing",
    "denoising_psnr": "ratio of signal to what noise is left once noisy test data is reconstructed",
    "denoising_gain": "how far that lies above the ratio of the noisy data itself",
    "imputation_mse": "mean squared error of missing dimensions, filled in from the others",
    "anomaly_code_auroc": "how well the distance to training codes tells a class that was held out: 0.5 is chance",
    "anomaly_error_auroc": "the same by the reconstruction error",
    "compression_bits": "bits per data point at which a quantised code is about as good as the code itself",
    "compression_mse": "mean squared error of test data at that rate",
    "attribute_flip": "how often adding a mean difference of codes changes the attribute (a class) that it stands for",
    "attribute_keep": "how often the other attributes then stay as they were",
    "codebook_usage": "share of the codebook that occurs in the codes of test data",
    "codebook_perplexity": "how many codes would be in use if all were equally frequent: exp of their entropy",
    "uniform_prior_bits_per_dim": "bits_per_dim if all codes were equally probable: the learnt prior gains the rest",
    "uniform_prior_log_likelihood": "log_likelihood if all codes were equally probable",
    "train_images_per_s": "training speed",
    "sample_images_per_s": "sampling speed",
    "latency_ms": "time to draw a single sample",
    "peak_memory_mib": "most memory held while training",
    "parameters": "number of trained numbers",
    "flops_per_image": "floating-point operations to train on one data point",
}
