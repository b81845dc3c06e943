"""What a metric author subclasses; one module per question beside it."""

from genbench.metrics.base import Measurement, Metric, NotApplicable, Subject, in_chunks

__all__ = ["Measurement", "Metric", "NotApplicable", "Subject", "in_chunks"]
