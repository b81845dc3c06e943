"""Do codes keep classes apart, and better than PCA does at the same dimension?"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from genbench.data.batch import Batch
from genbench.metrics.base import (
    PROTOCOL_SEED,
    Measurement,
    Metric,
    NotApplicable,
    Subject,
    checked,
    choose,
    in_chunks,
    seeded,
)
from genbench.model import Encoder
from genbench.options import Options

#: Data points encoded at once.
CHUNK = 500

#: Steps after which the linear probe's optimiser is stopped; `probe_converged` in the settings says whether it was.
PROBE_STEPS = 2000


class Separation(Metric):
    """Separation of the classes by a model's codes of the test set, next to that by PCA's, fitted on the same training
    split and cut to the same dimension.

    - `knn_accuracy`: of a k-nearest-neighbour classifier on the codes of training points;
    - `probe_accuracy`: of multinomial logistic regression on them (Alain & Bengio 2016);
    - `silhouette`: mean silhouette of the test codes grouped by class (Rousseeuw 1987), in [-1, 1];
    - `…_vs_pca`: each one's difference to PCA, positive where the model is better.

    Both kinds of codes are standardised before anything else, by the training codes' statistics. The standard errors of
    accuracies are binomial, those of their differences are paired over test points. Leaves `codes.npz`: two dimensions
    of both for a scatter plot (`code_2d`, `pca_2d`), the labels `y`, and the three scores of both (`knn_accuracy`,
    `pca_knn_accuracy`, …).
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
        n_test: int = Field(2000, ge=10, description="test points, at most")

    requires: ClassVar[tuple[type, ...]] = (Encoder,)
    names: ClassVar[tuple[str, ...]] = (
        "knn_accuracy",
        "knn_vs_pca",
        "probe_accuracy",
        "probe_vs_pca",
        "silhouette",
        "silhouette_vs_pca",
    )
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        with seeded(
            PROTOCOL_SEED, subject.device
        ):  # data that is binarised anew at every access is the same for all models
            train = subject.train.batch(choose(subject.train, self.config.n_train))
            test = subject.test.batch(choose(subject.test, self.config.n_test))
            everything = subject.train.x()
        y_train, y_test = _labels(train), _labels(test)
        if len(np.unique(y_train)) < 2 or not 2 <= len(np.unique(y_test)) < len(y_test):
            raise NotApplicable("needs data points of at least two classes, and more points than classes")
        if len(y_train) < self.config.neighbours:
            raise NotApplicable(f"needs {self.config.neighbours} training points, there are {len(y_train)}")

        codes = self._standardized(_encode(subject.model, train.x), _encode(subject.model, test.x))
        dimension = codes[0].shape[1]
        pca = PCA(min(max(dimension, 2), *everything.flatten(1).shape), random_state=0).fit(_flat(everything))
        pca_train, pca_test = pca.transform(_flat(train.x)), pca.transform(_flat(test.x))
        pca_codes = self._standardized(pca_train[:, :dimension], pca_test[:, :dimension])

        ours = self._scores(codes, y_train, y_test)
        pcas = self._scores(pca_codes, y_train, y_test)
        settings = {
            "dimension": dimension,
            "pca_dimension": pca_codes[0].shape[1],
            "n_train": len(y_train),
            "n_test": len(y_test),
            "probe_converged": ours.probe_converged and pcas.probe_converged,
        }
        subject.folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            subject.folder / "codes.npz",
            code_2d=_plane(codes[1]),
            pca_2d=_plane(pca_test[:, :2]),
            y=y_test,
            **ours.summary(""),
            **pcas.summary("pca_"),
        )
        return [
            *_accuracies("knn", ours.knn, pcas.knn, settings),
            *_accuracies("probe", ours.probe, pcas.probe, settings),
            Measurement("silhouette", ours.silhouette, "estimate", "higher", settings=settings),
            Measurement(
                "silhouette_vs_pca", ours.silhouette - pcas.silhouette, "estimate", "higher", settings=settings
            ),
        ]

    def _standardized(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes less the training codes' mean, over their standard deviation."""
        mean, scale = train.mean(0), train.std(0)
        if self.config.standardize == "overall":
            scale = np.sqrt(np.mean(scale**2))
        # what hardly varies beside the rest is rounding: it is left small
        scale = np.where(scale > 1e-6 * np.max(scale), scale, np.max(scale) or 1.0)
        return (train - mean) / scale, (test - mean) / scale

    def _scores(self, codes: tuple[np.ndarray, np.ndarray], y_train: np.ndarray, y_test: np.ndarray) -> _Scores:
        train, test = codes
        knn = KNeighborsClassifier(self.config.neighbours).fit(train, y_train)
        probe = LogisticRegression(max_iter=PROBE_STEPS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # reported as `probe_converged`
            probe.fit(train, y_train)
        return _Scores(
            knn=knn.predict(test) == y_test,
            probe=probe.predict(test) == y_test,
            silhouette=float(silhouette_score(test, y_test)),
            probe_converged=bool(np.max(probe.n_iter_) < PROBE_STEPS),
        )


@dataclass(frozen=True)
class _Scores:
    """Which test points either classifier got right, `(n,)`, and the silhouette."""

    knn: np.ndarray
    probe: np.ndarray
    silhouette: float
    probe_converged: bool

    def summary(self, prefix: str) -> dict[str, Any]:
        """The three scores, by name."""
        return {
            f"{prefix}knn_accuracy": self.knn.mean(),
            f"{prefix}probe_accuracy": self.probe.mean(),
            f"{prefix}silhouette": self.silhouette,
        }


def _accuracies(name: str, ours: np.ndarray, pcas: np.ndarray, settings: dict) -> list[Measurement]:
    n = len(ours)
    accuracy = float(ours.mean())
    gain = ours.astype(float) - pcas
    return [
        Measurement(
            f"{name}_accuracy",
            accuracy,
            "estimate",
            "higher",
            stderr=math.sqrt(accuracy * (1 - accuracy) / n),
            settings=settings,
        ),
        Measurement(
            f"{name}_vs_pca",
            float(gain.mean()),
            "estimate",
            "higher",
            stderr=float(gain.std(ddof=1)) / math.sqrt(n),
            settings=settings,
        ),
    ]


def _labels(batch: Batch) -> np.ndarray:
    if batch.y is None:
        raise NotApplicable("the data has no class labels")
    return batch.y.cpu().numpy()


def _encode(model: Any, x: Tensor) -> np.ndarray:
    """Codes `(n, d)` of data points, float64."""
    return in_chunks(
        lambda part: checked(model, "encode", model.encode(part), (len(part), None)).double().cpu(), x, CHUNK
    ).numpy()


def _flat(x: Tensor) -> np.ndarray:
    """Data points `(n, *shape)` as vectors `(n, dims)`, float64."""
    return x.flatten(1).double().cpu().numpy()


def _plane(codes: np.ndarray) -> np.ndarray:
    """Codes `(n, d)` in two dimensions `(n, 2)`: as they are if there are no more, else their principal components."""
    if codes.shape[1] > 2:
        left, singular, _ = np.linalg.svd(codes - codes.mean(0), full_matrices=False)
        codes = left[:, :2] * singular[:2]
    return np.pad(codes, ((0, 0), (0, 2 - codes.shape[1]))).astype(np.float32)
