import subprocess
import sys

import pytest

from genbench.metrics import Metric, plugin
from genbench.plugins.entries import MetricEntry

ENTRIES = list(plugin.genbench_metrics())

#: Metrics that are slow, or need a download.
ASKED_FOR = {"ais", "inception_score"}


def load(entry):
    module, name = entry.target.split(":")
    return getattr(__import__(module, fromlist=[name]), name)


def test_listing_the_metrics_does_not_import_torch():
    code = "import sys, genbench.metrics.plugin as p; list(p.genbench_metrics()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_are_unique():
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    measured = [name for entry in ENTRIES for name in load(entry).names]
    assert len(set(measured)) == len(measured)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_target_is_a_metric_with_described_options(entry):
    metric = load(entry)
    assert isinstance(entry, MetricEntry)
    assert entry.default == (entry.name not in ASKED_FOR)
    assert issubclass(metric, Metric)
    assert metric.names
    assert metric.Config()
    for name, field in metric.Config.model_fields.items():
        assert field.description, name


def test_an_unknown_name_is_an_attribute_error():
    import genbench.metrics

    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        genbench.metrics.Nonsense  # noqa: B018  # the access is the test


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_quick_options_are_options(entry):
    metric = load(entry)
    quick = metric(metric.Config()).quick()
    if quick is not None:
        assert metric.Config(**quick)
