"""The Inception score: are samples recognisable, and of many kinds?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench.data import Dataset
from genbench.metrics.base import Measurement, NotApplicable, Subject
from genbench.metrics.extractors import Inception
from genbench.metrics.features import MIN_POINTS, FeatureConfig, FeatureMetric


class InceptionScore(FeatureMetric):
    """exp E KL(p(y|x) || p(y)) over samples x, with ImageNet's classes y as Inception sees them (Salimans et al. 2016),
    by torch-fidelity: the mean over `splits` parts of the samples. It knows nothing of the data that the model was
    trained on, and grows with the size of the parts.

    Its standard error is that of the mean of independent parts.
    """

    class Config(FeatureConfig):
        """Options of `inception_score`."""

        extractor: Literal["inception"] = Field("inception", description="whose classes: always Inception's")
        splits: int = Field(10, ge=2, le=MIN_POINTS, description="random parts of the samples that are averaged over")

    names: ClassVar[tuple[str, ...]] = ("inception_score",)
    config: Config

    def extractor_name(self, dataset: Dataset) -> str | None:
        return self.config.extractor if Inception.takes(dataset.spec.shape) else None

    def measure(self, subject: Subject) -> list[Measurement]:
        if self.extractor_name(subject.dataset) is None:
            raise NotApplicable(f"Inception classifies images of 1 or 3 channels, not {subject.data.shape}")
        # torch-fidelity takes seconds to import, and planning a run needs these metrics' options only
        from genbench.metrics.distances import inception_score

        features, extractor = self.sample_features(subject), self.extractor(subject)
        assert isinstance(extractor, Inception)
        value, stderr = inception_score(extractor.logits(features), self.config.splits)
        settings = {"n": len(features), "splits": self.config.splits, "extractor_sha256": extractor.sha256}
        return [Measurement("inception_score", value, "estimate", "higher", "", stderr, settings)]
