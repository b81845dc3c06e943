"""Do codes keep classes apart, and better than PCA does at the same dimension?"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from genbench.data.batch import Batch
from genbench.metrics.base import (
    PROTOCOL_SEED,
    Measurement,
    Metric,
    NotApplicable,
    Subject,
    choose,
    seeded,
)
from genbench.metrics.coding import encode
from genbench.metrics.pairs import Ranks, Replicated, preservation, silhouette
from genbench.metrics.resampling import GROUPS, bootstrap, group_of
from genbench.model import Encoder, one_thread
from genbench.options import Options

#: Inverse regularisation of the linear probe: the one that is best on validation data is taken.
PROBE_GRID = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)

#: Steps after which the linear probe's optimiser is stopped; its numbers are flagged then.
PROBE_STEPS = 2000

#: A spread that is smaller than this beside the numbers themselves is rounding.
ROUNDING = 1e-6


class Separation(Metric):
    """Separation of the classes by a model's codes of the test set, next to that by PCA's, fitted on the same training
    split and cut to the same dimension.

    - `knn_accuracy`: of a k-nearest-neighbour classifier on the codes of training points;
    - `probe_accuracy`: of multinomial logistic regression on them (Alain & Bengio 2016), regularised as is best on
      validation data, the more of what is equally good;
    - `silhouette`: mean silhouette of the test codes grouped by class (Rousseeuw 1987), in [-1, 1];
    - `trustworthiness`: whether neighbours among the test codes are neighbours in the data, `continuity`: whether
      neighbours in the data are neighbours among the codes (Venna & Kaski 2001), both in [0, 1];
    - `…_vs_pca`: each one's difference to PCA, positive where the model is better.

    Both kinds of codes are standardised before anything else, by the training codes' statistics. Standard errors are
    over test points, those of differences are paired: accuracies have the bootstrap's with its interval, the others,
    which look at pairs of points, the jackknife's. Codes that are the same for all data are not measured.

    Leaves `codes.npz`: two dimensions of both kinds of codes for a scatter plot (`code_2d`, `pca_2d`), the labels `y`,
    and the five scores of both (`knn_accuracy`, `pca_knn_accuracy`, …).
    """

    class Config(Options):
        """Options of `separation`."""

        neighbours: int = Field(5, ge=1, description="k of the nearest-neighbour classifier")
        standardize: Literal["overall", "dimension"] = Field(
            "overall",
            description="scale codes by one number, which keeps distances' proportions, or each dimension by its own, "
            "which for PCA is whitening",
        )
        n_train: int = Field(5000, ge=10, description="training points that the classifiers see, at most")
        n_test: int = Field(2000, ge=10, description="test points, and validation points for the probe, at most")
        rank_neighbours: int = Field(5, ge=1, description="k of trustworthiness and continuity")
        n_rank: int = Field(1000, ge=10, description="test points for trustworthiness and continuity, at most")

    requires: ClassVar[tuple[type, ...]] = (Encoder,)
    names: ClassVar[tuple[str, ...]] = (
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
    )
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        with seeded(
            PROTOCOL_SEED, subject.device
        ):  # data that is binarised anew at every access is the same for all models
            train = subject.train.batch(choose(subject.train, self.config.n_train))
            validation = subject.validation.batch(choose(subject.validation, self.config.n_test))
            test = subject.test.batch(choose(subject.test, self.config.n_test))
            everything = _flat(subject.train.x())
        batches = (train, validation, test)
        y = _Parts(*(_labels(batch) for batch in batches))
        self._check_enough(y)
        if not _vary(everything):
            raise NotApplicable("all training points are the same")

        codes = self._standardized("the model's", _Parts(*(encode(subject.model, batch.x) for batch in batches)))
        dimension = codes.test.shape[1]
        with one_thread():
            pca = PCA(min(max(dimension, 2), *everything.shape), random_state=0).fit(everything)
            components = _Parts(*(pca.transform(_flat(batch.x)) for batch in batches))
            pca_codes = self._standardized("PCA's", _Parts(*(part[:, :dimension] for part in components)))

            data = Ranks(_flat(test.x)[: self.config.n_rank])
            ours = self._scores(codes, y, data)
            pcas = self._scores(pca_codes, y, data)
            code_2d, pca_2d = _plane(codes.test), _plane(components.test[:, :2])
        settings = {
            "dimension": dimension,
            "pca_dimension": pca_codes.test.shape[1],
            "n_train": len(y.train),
            "n_validation": len(y.validation),
            "n_test": len(y.test),
            "n_rank": len(data.rank),
            "probe_c": ours.probe_c,
            "pca_probe_c": pcas.probe_c,
        }
        subject.folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            subject.folder / "codes.npz",
            code_2d=code_2d,
            pca_2d=pca_2d,
            y=y.test,
            **ours.summary(""),
            **pcas.summary("pca_"),
        )
        stopped = () if ours.probe_converged and pcas.probe_converged else ("the linear probe did not converge",)
        return [
            *_accuracies("knn", ours.knn, pcas.knn, settings),
            *_accuracies("probe", ours.probe, pcas.probe, settings, stopped),
            *_pair_scores("silhouette", ours.silhouette, pcas.silhouette, settings),
            *_pair_scores("trustworthiness", ours.trustworthiness, pcas.trustworthiness, settings),
            *_pair_scores("continuity", ours.continuity, pcas.continuity, settings),
        ]

    def _check_enough(self, y: _Parts) -> None:
        """Refuses data that does not have the classes, or as many points, as the scores need.

        Raises:
            NotApplicable: the message says which.
        """
        k, ranked = self.config.rank_neighbours, min(len(y.test), self.config.n_rank)
        group, rank_group = _groups(len(y.test)), _groups(ranked)
        if len(np.unique(y.train)) < 2 or not 2 <= len(np.unique(y.test)) < len(y.test):
            raise NotApplicable("needs data points of at least two classes, and more points than classes")
        if any(len(np.unique(y.test[group != g])) < 2 for g in range(group.max() + 1)):
            raise NotApplicable("needs more test points outside of the largest class, to leave some out")
        if len(y.train) < self.config.neighbours:
            raise NotApplicable(f"needs {self.config.neighbours} training points, there are {len(y.train)}")
        if ranked - np.bincount(rank_group).max() <= 2 * k:
            raise NotApplicable(f"{ranked} test points are too few to have {k} neighbours each and others besides")

    def _standardized(self, whose: str, codes: _Parts) -> _Parts:
        """Codes less the training codes' mean, over their standard deviation.

        Raises:
            NotApplicable: they hardly vary, or not at all.
        """
        for name, part in (("training", codes.train), ("test", codes.test)):
            if not _vary(part):
                raise NotApplicable(f"{whose} codes of {name} data are all the same")
        mean, scale = codes.train.mean(0), codes.train.std(0)
        if self.config.standardize == "overall":
            scale = np.sqrt(np.mean(scale**2))
        # what hardly varies beside the rest is left small
        scale = np.where(scale > ROUNDING * np.max(scale), scale, np.max(scale))
        return _Parts(*((part - mean) / scale for part in codes))

    def _scores(self, codes: _Parts, y: _Parts, data: Ranks) -> _Scores:
        knn = KNeighborsClassifier(self.config.neighbours).fit(codes.train, y.train)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # reported as a flag
            probes = [LogisticRegression(C=c, max_iter=PROBE_STEPS).fit(codes.train, y.train) for c in PROBE_GRID]
        best = int(np.argmax([probe.score(codes.validation, y.validation) for probe in probes]))
        ranks = Ranks(codes.test[: self.config.n_rank])
        k, rank_group = self.config.rank_neighbours, _groups(len(ranks.rank))
        return _Scores(
            knn=knn.predict(codes.test) == y.test,
            probe=probes[best].predict(codes.test) == y.test,
            probe_c=PROBE_GRID[best],
            probe_converged=all(np.max(probe.n_iter_) < PROBE_STEPS for probe in probes),
            silhouette=silhouette(codes.test, y.test, _groups(len(y.test))),
            trustworthiness=preservation(ranks, data, k, rank_group),
            continuity=preservation(data, ranks, k, rank_group),
        )


class _Parts(NamedTuple):
    """The same of each split's data points: codes `(n, d)` or labels `(n,)`."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class _Scores:
    """What one kind of codes gets: which test points either classifier got right, `(n,)`, and the rest."""

    knn: np.ndarray
    probe: np.ndarray
    probe_c: float
    probe_converged: bool
    silhouette: Replicated
    trustworthiness: Replicated
    continuity: Replicated

    def summary(self, prefix: str) -> dict[str, Any]:
        """The five scores, by name."""
        return {
            f"{prefix}knn_accuracy": self.knn.mean(),
            f"{prefix}probe_accuracy": self.probe.mean(),
            f"{prefix}silhouette": self.silhouette.whole,
            f"{prefix}trustworthiness": self.trustworthiness.whole,
            f"{prefix}continuity": self.continuity.whole,
        }


def _accuracies(
    name: str, ours: np.ndarray, pcas: np.ndarray, settings: dict, flags: tuple[str, ...] = ()
) -> list[Measurement]:
    """The accuracy on test points and its difference to PCA's, bootstrapped."""
    return [
        Measurement(
            full_name,
            found.mean,
            "estimate",
            "higher",
            stderr=found.stderr,
            interval=found.interval,
            settings=settings,
            flags=flags,
        )
        for full_name, found in (
            (f"{name}_accuracy", bootstrap(ours)),
            (f"{name}_vs_pca", bootstrap(ours.astype(float) - pcas)),
        )
    ]


def _pair_scores(name: str, ours: Replicated, pcas: Replicated, settings: dict) -> list[Measurement]:
    """A score of pairs of points and its difference to PCA's, jackknifed."""
    measurements = []
    for full_name, score in ((name, ours), (f"{name}_vs_pca", ours - pcas)):
        error = score.jackknifed
        interval = (score.whole - error.margin, score.whole + error.margin)
        measurements.append(
            Measurement(full_name, score.whole, "estimate", "higher", "", error.stderr, settings, interval)
        )
    return measurements


def _vary(points: np.ndarray) -> bool:
    """Whether points `(n, d)` differ by more than rounding."""
    return bool(np.max(points.std(0), initial=0.0) > ROUNDING * np.max(np.abs(points), initial=0.0))


def _groups(n: int) -> np.ndarray:
    """The jackknife's group of each of `n` test points."""
    return group_of(n, min(GROUPS, n))


def _labels(batch: Batch) -> np.ndarray:
    if batch.y is None:
        raise NotApplicable("the data has no class labels")
    return batch.y.cpu().numpy()


def _flat(x: Tensor) -> np.ndarray:
    """Data points `(n, *shape)` as vectors `(n, dims)`, float64."""
    return x.flatten(1).double().cpu().numpy()


def _plane(codes: np.ndarray) -> np.ndarray:
    """Codes `(n, d)` in two dimensions `(n, 2)`: as they are if there are no more, else their principal components."""
    if codes.shape[1] > 2:
        left, singular, _ = np.linalg.svd(codes - codes.mean(0), full_matrices=False)
        codes = left[:, :2] * singular[:2]
    return np.pad(codes, ((0, 0), (0, 2 - codes.shape[1]))).astype(np.float32)
