"""Known ways to measure generative models wrongly, and what keeps each of them out of here.

1. Resizing pictures in different ways for the extractor: shipped networks take their own size only
   (`tests/metrics/test_extractors.py::test_pictures_of_another_shape_are_not_applicable`), and Inception's resizing is
   the published one (`tests/metrics/test_extractors.py::test_inception_sees_eight_bit_rgb`).
2. Lossy compression of samples or of data alone: can't happen, as extractors are handed the tensors that models make
   and train on, and no picture is written to a file and read again before it is measured.
3. Levels that are cut off rather than rounded, or floats beside 8 bits: `test_inception_rounds_to_eight_bits`; samples
   off the data's levels are refused (`tests/metrics/test_metric_fidelity.py::test_what_are_no_samples_is_named`).
4. Extractors that differ under one name: `test_what_decides_a_fidelity_score_is_in_its_protocol`,
   `tests/metrics/test_extractors.py::test_a_foreign_file_under_the_published_name_is_refused`.
5. Grey pictures shown to a network for photographs: grey data has a network of its own
   (`tests/metrics/test_extractors.py::test_the_default_extractor_of_a_dataset`), and Inception has to be asked for
   (`tests/metrics/test_metric_fidelity.py::test_data_without_an_extractor_says_what_can_be_asked_for`).
6. Training data as the reference here, test data there: `test_what_decides_a_fidelity_score_is_in_its_protocol`.
7. FID's bias in the number of samples: taken away
   (`tests/exact/test_exact_fidelity.py::test_the_interval_of_fid_covers_the_distance_of_known_normals`), and the number
   is in the protocol (`test_what_decides_a_fidelity_score_is_in_its_protocol`).
8. Fewer samples than features: flagged, without an interval
   (`tests/metrics/test_metric_fidelity.py::test_fewer_than_three_points_per_dimension_are_flagged_and_have_no_interval`),
   and nothing complex is ever computed
   (`tests/exact/test_exact_fidelity.py::test_both_formulas_agree_where_one_takes_over_from_the_other`).
9. Bootstrap intervals of FID: `test_the_bootstrap_of_fid_misses_what_the_jackknife_covers`.
10. Intervals of FID that nobody has checked:
    `tests/exact/test_exact_fidelity.py::test_the_interval_of_fid_covers_the_distance_of_known_populations_that_are_not_normal`.
11. KID's spread over subsets taken for its error: there are no subsets
    (`tests/exact/test_exact_fidelity.py::test_kid_of_all_points_is_torch_fidelity_s_of_one_subset`), and the interval
    covers (`tests/exact/test_exact_fidelity.py::test_kid_is_unbiased_and_its_interval_covers`).
12. Precision and recall exchanged
    (`tests/metrics/test_metric_fidelity.py::test_one_real_image_again_and_again_is_precise_and_recalls_nothing`), of
    another k (`test_what_decides_a_fidelity_score_is_in_its_protocol`), or from distances in single precision
    (`test_features_keep_double_precision_on_their_way_to_the_distances`).
13. A copy of the training set gets perfect scores:
    `tests/metrics/test_memorisation.py::test_every_fidelity_score_of_copies_is_flagged`.
14. Scores of memorisation that respond to poor quality instead:
    `tests/metrics/test_memorisation.py::test_independent_samples_are_seldom_flagged_whatever_their_quality`,
    `tests/metrics/test_memorisation.py::test_the_reference_rows_calibrate_it`.
15. One seed against one seed: intervals are over seeds
    (`tests/report/test_report_tables.py::test_seeds_give_their_mean_and_the_student_interval`), differences paired on
    them (`tests/report/test_report_comparing.py::test_differences_on_shared_seeds_are_paired`).
16. Feature likelihood divergence, whose sign and scale depend on the version, and which divides by the spread of
    constant features: can't happen, as it is not computed, and features are never scaled by the test data.
17. Importance bounds without their K: `test_k_is_in_the_record_and_in_the_protocol`,
    `tests/exact/test_exact_metrics.py::test_streaming_over_draws_is_the_mean_over_all_of_them`.
18. Exponentials that underflow: `test_importance_weights_are_averaged_in_double_precision_and_log_space`.
19. AIS of decoders on the wrong side: `test_both_families_say_which_direction_bounds_what`,
    `tests/exact/test_exact_ais.py::test_decoder_bounds_sandwich_the_truth`.
20. AIS of energy models, where the safe side is the other one: `test_both_families_say_which_direction_bounds_what`,
    `tests/exact/test_exact_ais.py::test_log_z_of_an_rbm_is_sandwiched_on_the_right_sides`.
21. Step sizes adapted inside the chains whose weights count: `test_step_sizes_rest_while_weights_count`,
    `tests/exact/test_exact_ais.py::test_transitions_leave_the_posterior_invariant`.
22. Likelihoods of different things: `test_every_kind_of_data_has_its_observation_model`, the noise that AIS adds is
    recorded (`test_the_noise_around_a_decoder_is_recorded`), densities of dequantised data are bounds
    (`tests/exact/test_exact_metrics.py::test_dequantisation_bounds_the_probability_of_levels_ever_more_tightly`), every
    binary view is data of its own (`tests/data/test_views.py::test_every_view_has_its_own_fingerprint`).
23. One number for everything: can't happen, as each column of a table is ranked by itself and none sums up others.
24. Codes of other dimensions or scales compared: against PCA of equal dimension, fitted on training data
    (`tests/metrics/test_metric_latent.py::test_pca_is_no_better_than_pca`), both standardised by training data
    (`tests/exact/test_exact_separation.py::test_the_scale_and_the_origin_of_codes_do_not_matter`).
"""

import ast
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.metrics import features
from genbench.metrics.ais import AnnealedImportance
from genbench.metrics.base import Subject
from genbench.metrics.decoding import DecoderBounds
from genbench.metrics.extractors import Inception
from genbench.metrics.fidelity import DensityCoverage, FrechetDistance, KernelDistance, PrecisionRecall
from genbench.metrics.frechet import frechet, plug_in
from genbench.metrics.likelihood import Likelihood
from genbench.model import (
    Bernoulli,
    Decoder,
    DiscretizedLogistic,
    Gaussian,
    LatentBound,
    Sampler,
    Unnormalized,
    observe,
    parameter_channels,
    standard_normal,
)
from genbench.plan.spec import canonical_hash

CPU = torch.device("cpu")
TESTS = Path(__file__).parents[1]
LEVELS, DIMS = 5, 4


@pytest.fixture(autouse=True)
def seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    torch.manual_seed(0)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def subject_of(model, n=60):
    rng = np.random.default_rng(0)
    splits = [Split(rng.integers(LEVELS, size=(n, DIMS)).astype(np.uint8)) for _ in range(3)]
    dataset = Dataset("noise", DataSpec((DIMS,), "discrete", LEVELS), *splits, family="noise")
    parts = [DeviceSplit(dataset, name, CPU) for name in ("train", "validation", "test")]
    return Subject(model, dataset.spec, dataset, *parts, device=CPU, seed=0, folder=Path())


def functions_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_trap_has_a_guard_that_exists_or_a_reason():
    traps = re.split(r"^(\d+)\. ", __doc__, flags=re.MULTILINE)[1:]
    assert [int(number) for number in traps[::2]] == list(range(1, 25))
    for text in traps[1::2]:
        named = re.findall(r"`(?:(\S+)::)?(test_\w+)`", text)
        assert named or "can't happen, as" in text
        for path, name in named:
            assert name in functions_in(TESTS.parent / path if path else Path(__file__))


def test_inception_rounds_to_eight_bits():
    seen = []

    def network(image):
        seen.append(image)
        return image.flatten(1).float()

    inception = object.__new__(Inception)
    inception.network = network
    inception(torch.tensor([0.0, 0.499 / 255, 0.999, 1.0]).view(1, 1, 2, 2))
    assert seen[0].dtype == torch.uint8
    assert seen[0][0].flatten(1).tolist() == 3 * [[0, 0, 255, 255]]


class Pixels:
    """The extractor whose features are the pixels."""

    name, sha256, dims = "pixels", "00ff", None

    def __call__(self, x):
        return x.double()


@pytest.fixture
def extractor(monkeypatch):
    pixels = Pixels()
    monkeypatch.setattr(features, "extractor_for", lambda dataset: pixels.name)
    monkeypatch.setattr(features, "load_extractor", lambda name, device, weights=None: pixels)
    return pixels


@pytest.mark.parametrize("metric", [FrechetDistance, KernelDistance, PrecisionRecall, DensityCoverage])
def test_what_decides_a_fidelity_score_is_in_its_protocol(metric, extractor):
    dataset = subject_of(None).dataset

    def protocol(**options):
        return canonical_hash(metric(metric.Config(**options)).protocol(dataset))

    others = [protocol(reference="test"), protocol(n=50), protocol(n_reference=50), protocol(extractor="other")]
    if "k" in metric.Config.model_fields:
        others.append(protocol(k=4))
    extractor.sha256 = "00fe"
    others.append(protocol())
    extractor.sha256 = "00ff"
    assert len({protocol(), *others}) == 1 + len(others)


def test_the_bootstrap_of_fid_misses_what_the_jackknife_covers():
    """Two normals in 16 dimensions whose means are 1 apart: FID is 1. Of 30 intervals of 95%, fewer than 21 hold it
    once in a million times."""
    jackknife, bootstrap = 0, 0
    for _ in range(30):
        x, y = torch.randn(2, 200, 16, dtype=torch.float64)
        y[:, 0] += 1
        low, high = frechet(x, y).interval
        jackknife += low < 1 < high
        draws = [plug_in(x[torch.randint(200, (200,))], y[torch.randint(200, (200,))]) for _ in range(50)]
        bootstrap += np.quantile(draws, 0.025) < 1 < np.quantile(draws, 0.975)
    assert jackknife >= 21
    assert bootstrap <= 6


class Far(Pixels):
    """Features so far from the origin that single precision can't tell them apart."""

    def __call__(self, x):
        return x.double() + 1e9


@pytest.mark.parametrize("metric", [FrechetDistance, PrecisionRecall, DensityCoverage])
def test_features_keep_double_precision_on_their_way_to_the_distances(metric, extractor, monkeypatch):
    def values():
        return [found.value for found in metric(metric.Config()).measure(subject_of(Noise()))]

    near = values()
    monkeypatch.setattr(features, "load_extractor", lambda name, device, weights=None: Far())
    assert values() == pytest.approx(near, rel=1e-5)


class Noise(Sampler):
    def sample(self, n, y=None):
        return torch.randint(LEVELS, (n, DIMS)) / (LEVELS - 1)


class Weights(LatentBound):
    """Log-weights that are, in turn, `first` and 1 nat less."""

    def __init__(self, first):
        self.first = first
        self.drawn = 0

    def log_weights(self, x, k, y=None):
        draws = torch.arange(self.drawn, self.drawn + k) % 2
        self.drawn += k
        return (self.first - draws.float())[:, None].expand(k, len(x))


def test_k_is_in_the_record_and_in_the_protocol():
    model = Weights(-10.0)
    few, many = (Likelihood(Likelihood.Config(k=k)) for k in (6, 8))
    subject = subject_of(model)
    assert all(found.settings["k"] == 6 for found in few.measure(subject))
    assert model.drawn == 6
    assert few.protocol(subject.dataset) != many.protocol(subject.dataset)


@pytest.mark.parametrize("first", [-80.0, -800.0])
@pytest.mark.parametrize("batch", [60, 10_000], ids=["streamed", "at once"])
def test_importance_weights_are_averaged_in_double_precision_and_log_space(first, batch):
    """exp(-80) is at the edge of single precision, exp(-800) is 0 in double precision."""
    found = Likelihood(Likelihood.Config(k=8, batch=batch)).measure(subject_of(Weights(first)))
    values = {measurement.name: measurement.value for measurement in found}
    assert values["log_likelihood"] == pytest.approx(first + math.log((1 + math.exp(-1)) / 2), abs=1e-9)
    assert values["elbo"] == pytest.approx(first - 0.5, abs=1e-9)


class Linear(nn.Module, Decoder):
    """Levels around a linear function of two codes."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, DIMS, generator=torch.Generator().manual_seed(0)))

    def prior(self):
        return standard_normal(2, self.weight)

    def decode(self, z):
        return torch.sigmoid(z @ self.weight)


class Free(Noise, Unnormalized):
    """Levels that are independent and uniform, at any temperature."""

    def log_unnormalized(self, x, beta):
        return torch.zeros(len(x))

    def transition(self, x, beta):
        return self.sample(len(x))

    def base_sample(self, n):
        return self.sample(n)

    def base_log_normalizer(self):
        return torch.tensor(DIMS * math.log(LEVELS))


def annealed(model):
    few = AnnealedImportance.Config(temperatures=5, chains=1, n=20, energy_temperatures=5, energy_chains=20)
    return {found.name: found for found in AnnealedImportance(few).measure(subject_of(model))}


def test_both_families_say_which_direction_bounds_what():
    decoder, energy = annealed(Linear()), annealed(Free())
    assert (decoder["ais_log_likelihood"].kind, energy["ais_log_likelihood"].kind) == ("lower_bound", "lower_bound")
    assert (decoder["ais_bits_per_dim"].kind, energy["ais_bits_per_dim"].kind) == ("upper_bound", "upper_bound")
    assert energy["ais_log_likelihood_upper"].kind == "upper_bound"
    assert "forward chains bound log p(x) from below" in decoder["ais_log_likelihood"].settings["direction"]
    direction = energy["ais_log_likelihood"].settings["direction"]
    assert "forward chains bound log Z from below and log p(x) from above" in direction
    assert "reverse chains bound log Z from above and log p(x) from below" in direction


def test_step_sizes_rest_while_weights_count():
    model = Linear()
    bounds = DecoderBounds(
        model, DataSpec((DIMS,), "discrete", LEVELS), temperatures=10, leapfrog=2, chains=2, batch=30
    )
    bounds.prepare(Noise().sample(20))
    before = list(bounds.path.step_sizes)
    assert len(set(before)) > 1  # they have been adapted
    z, x = bounds.simulate(40)
    bounds.lower(x, lambda _: None)
    bounds.upper(x, z, lambda _: None)
    assert bounds.path.step_sizes == before


def test_the_noise_around_a_decoder_is_recorded():
    settings = annealed(Linear())["ais_log_likelihood"].settings
    assert settings["observation"] == "discretised Gaussian around the decoder's mean"
    assert settings["observation_scale"] > 0


@pytest.mark.parametrize(
    ("data", "family"),
    [
        (DataSpec((DIMS,), "binary", 2), Bernoulli),
        (DataSpec((DIMS,), "discrete", LEVELS), DiscretizedLogistic),
        (DataSpec((DIMS,), "continuous"), Gaussian),
    ],
)
def test_every_kind_of_data_has_its_observation_model(data, family):
    """Binary cross-entropy is for binary data only; levels have probabilities, which sum to 1."""
    parameters = torch.randn(1, DIMS * parameter_channels(data))
    found = observe(data, parameters)
    assert type(found) is family
    if data.levels is not None:
        levels = torch.arange(data.levels) / (data.levels - 1)
        x = torch.cartesian_prod(*[levels] * DIMS)
        log_p = observe(data, parameters.expand(len(x), -1)).log_prob(x)
        assert log_p.double().exp().sum().item() == pytest.approx(1, abs=1e-5)
