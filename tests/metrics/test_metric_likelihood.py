import math

import pytest
import torch

from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.likelihood import Likelihood
from genbench.model import Conditional, Density, LatentBound, Unnormalized

CELLS = 9  # dimensions of the test images
LEVELS = 5


class Uniform(Density):
    def log_prob(self, x, y=None):
        return torch.full((len(x),), -CELLS * math.log(LEVELS))


class Returns(Density):
    """Returns what it is told to, made from the batch."""

    def __init__(self, make):
        self.make = make

    def log_prob(self, x, y=None):
        return self.make(x)


class FirstPixel(Density):
    """A different log-probability for each data point: more where the first pixel is bright."""

    def log_prob(self, x, y=None):
        return -10 - x[:, 0, 0, 0]


class Spread(LatentBound):
    """Log-weights with normal noise of standard deviation `spread` around -10."""

    def __init__(self, spread=1.0):
        self.spread = spread
        self.largest = 0

    def log_weights(self, x, k, y=None):
        self.largest = max(self.largest, k * len(x))
        return -10 + self.spread * torch.randn(k, len(x))


class ByLabel(LatentBound, Conditional):
    """The weights of log p(x|y) = -5 - y, without noise."""

    def log_weights(self, x, k, y=None):
        assert y is not None
        return (-5.0 - y).expand(k, len(x))


def measure(subject, **config):
    return Likelihood(Likelihood.Config(**config)).measure(subject)


def test_a_density_is_exact_with_the_standard_error_of_the_mean(make_subject, by_name):
    subject = make_subject(FirstPixel())
    got = by_name(measure(subject))
    values = -10 - subject.test.x()[:, 0, 0, 0].double()
    assert got.log_likelihood.kind == got.bits_per_dim.kind == "exact"
    assert got.log_likelihood.value == pytest.approx(values.mean().item(), rel=1e-6)
    assert got.log_likelihood.stderr == pytest.approx(values.std().item() / math.sqrt(60), rel=1e-5)
    assert got.bits_per_dim.value == pytest.approx(-values.mean().item() / CELLS / math.log(2), rel=1e-6)
    assert got.bits_per_dim.stderr == pytest.approx(got.log_likelihood.stderr / CELLS / math.log(2))
    assert (got.log_likelihood.better, got.bits_per_dim.better) == ("higher", "lower")
    assert got.log_likelihood.settings == {"n": 60, "k": 1, "estimator": "density", "proposal": "none"}
    assert not hasattr(got, "elbo")


def test_every_name_that_is_emitted_is_announced(make_subject):
    assert {m.name for m in measure(make_subject(ByLabel()), k=2)} == set(Likelihood.names)


@pytest.mark.parametrize("k", [1, 7])
def test_a_conditional_model_is_asked_for_every_label(make_subject, make_dataset, by_name, k):
    """log p(x|y) = -5 - y: at the points' own labels, and summed out with the training frequencies."""
    dataset = make_dataset()
    got = by_name(measure(make_subject(ByLabel(), dataset), k=k))
    own = -5 - torch.from_numpy(dataset.test.y).double()
    assert got.conditional_log_likelihood.value == pytest.approx(own.mean().item())
    assert got.conditional_log_likelihood.stderr == pytest.approx(own.std().item() / math.sqrt(60))
    frequency = torch.bincount(torch.from_numpy(dataset.train.y)).double() / 200
    expected = math.log(sum(p * math.exp(-5 - y) for y, p in enumerate(frequency.tolist())))
    assert got.log_likelihood.value == pytest.approx(expected)
    assert got.conditional_bits_per_dim.kind == "upper_bound"


def test_a_conditional_model_needs_labels(make_subject, make_dataset):
    with pytest.raises(NotApplicable, match="no class labels"):
        measure(make_subject(ByLabel(), make_dataset(labelled=False)))


def test_a_latent_model_gets_bounds_of_the_right_side(make_subject, by_name):
    got = by_name(measure(make_subject(Spread()), k=16))
    assert (got.log_likelihood.kind, got.bits_per_dim.kind, got.elbo.kind) == (
        "lower_bound",
        "upper_bound",
        "lower_bound",
    )
    assert got.elbo.value < got.log_likelihood.value
    assert got.log_likelihood.settings == {
        "n": 60,
        "k": 16,
        "estimator": "importance-weighted",
        "proposal": "the model's q(z|x)",
    }


def test_the_same_draws_give_elbo_and_bound(make_subject, by_name):
    # one draw: the two are the same number
    got = by_name(measure(make_subject(Spread()), k=1))
    assert got.elbo.value == pytest.approx(got.log_likelihood.value, abs=1e-12)


@pytest.mark.parametrize("batch", [1, 7, 50, 10_000])
def test_batches_bound_the_memory_and_change_nothing(make_subject, by_name, batch):
    class Fixed(LatentBound):
        """Weights that depend on the data point alone."""

        largest = 0

        def log_weights(self, x, k, y=None):
            self.largest = max(self.largest, k * len(x))
            return (-10 - x[:, 0, 0, 0]).expand(k, -1)

    model = Fixed()
    got = by_name(measure(make_subject(model), k=20, batch=batch))
    want = by_name(measure(make_subject(FirstPixel())))
    assert model.largest <= batch
    assert got.log_likelihood.value == pytest.approx(want.log_likelihood.value, abs=1e-9)
    assert got.elbo.value == pytest.approx(want.log_likelihood.value, abs=1e-9)


def test_weights_that_underflow_float64_are_combined_in_log_space(make_subject, by_name):
    class Tiny(LatentBound):
        def log_weights(self, x, k, y=None):
            return torch.full((k, len(x)), -5000.0)

    assert by_name(measure(make_subject(Tiny()), k=8, batch=3)).log_likelihood.value == pytest.approx(-5000)


def test_an_exact_density_is_preferred_to_a_bound(make_subject, by_name):
    class Both(FirstPixel, LatentBound):
        def log_weights(self, x, k, y=None):
            raise AssertionError("not needed")

    assert by_name(measure(make_subject(Both()))).log_likelihood.kind == "exact"


def test_n_limits_the_test_points(make_subject):
    assert measure(make_subject(Uniform()), n=7)[0].settings["n"] == 7


def test_continuous_data_has_nats_and_no_bits(make_subject, continuous_dataset, by_name):
    class Normal(Density):
        continuous = True

        def log_prob(self, x, y=None):
            return torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)

    subject = make_subject(Normal(), continuous_dataset)
    got = by_name(measure(subject))
    want = torch.distributions.Normal(0.0, 1.0).log_prob(subject.test.x()).sum(1).mean().item()
    assert got.log_likelihood.kind == "exact"
    assert got.log_likelihood.value == pytest.approx(want, rel=1e-6)
    assert not hasattr(got, "bits_per_dim")


def test_a_positive_log_density_of_continuous_data_is_fine(make_subject, continuous_dataset):
    assert measure(make_subject(Returns(lambda x: torch.full((len(x),), 3.0)), continuous_dataset))[0].value == 3.0


def test_an_unnormalised_model_is_not_applicable(make_subject):
    class Energy(Unnormalized):
        def log_unnormalized(self, x, beta): ...
        def transition(self, x, beta): ...
        def base_sample(self, n): ...
        def base_log_normalizer(self): ...

    assert Unnormalized in Likelihood.requires
    with pytest.raises(NotApplicable, match="annealed importance sampling"):
        measure(make_subject(Energy()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: torch.full((len(x), 1), -1.0), r"Returns\.log_prob returned shape \(60, 1\), not \(60,\)"),
        (lambda x: torch.tensor(-1.0), r"Returns\.log_prob returned shape \(\), not \(60,\)"),
        (lambda x: -1.0, r"Returns\.log_prob returned float, not a tensor"),
        (lambda x: torch.where(torch.arange(len(x)) < 3, torch.nan, -1.0), "returned 3 NaN among 60 numbers"),
        (lambda x: torch.where(torch.arange(len(x)) < 2, -torch.inf, -1.0), "returned 2 -inf among 60 numbers"),
        (lambda x: torch.full((len(x),), 2.0), "2 nats for discrete data, a probability above 1"),
    ],
)
def test_what_is_no_log_probability_is_named(make_subject, make, message):
    with pytest.raises(MetricError, match=message):
        measure(make_subject(Returns(make)))


def test_a_bound_above_one_is_refused(make_subject):
    class Wrong(LatentBound):
        def log_weights(self, x, k, y=None):
            return torch.full((k, len(x)), 1.0)

    with pytest.raises(MetricError, match="Wrong gives discrete data a mean log-probability of 1 nats"):
        measure(make_subject(Wrong()))


def test_weights_the_wrong_way_round_are_refused(make_subject):
    class Transposed(LatentBound):
        def log_weights(self, x, k, y=None):
            return torch.zeros(len(x), k)

    with pytest.raises(MetricError, match=r"Transposed\.log_weights returned shape \(28, 32\), not \(32, 28\)"):
        measure(make_subject(Transposed()))
