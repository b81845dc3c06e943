"""What all the built-in metrics make of models that are broken in one way, and of data that is awkward."""

import importlib
import math

import numpy as np
import pytest
import torch
from torch import nn

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics.plugin import genbench_metrics
from genbench.model import (
    Decoder,
    Density,
    DiscretizedGaussian,
    Encoder,
    LatentBound,
    Reconstructor,
    Sampler,
    Unnormalized,
    standard_normal,
)
from genbench.results.schema import Unmeasured, Value
from genbench.runner.measure import measure

DIMS, CODES, LEVELS = 6, 2, 5

#: Options that make the slow metrics quick.
QUICK = {
    "likelihood": {"k": 4},
    "ais": {
        "temperatures": 5,
        "chains": 1,
        "leapfrog": 2,
        "n": 10,
        "energy_temperatures": 5,
        "energy_chains": 20,
    },
    "imputation": {"iterations": 2},
    "disentanglement": {"trees": 2},
    "throughput": {"batch": 8, "seconds": 0.01},
}

FIDELITY = {"fid", "kid", "precision_recall", "density_coverage", "memorisation"}
RECONSTRUCTING = {"reconstruction", "denoising", "imputation", "anomaly"}
ENCODING = {"separation", "disentanglement", "anomaly", "compression", "arithmetic"}

ALL_BUT_PHOTOGRAPHS = FIDELITY | RECONSTRUCTING | ENCODING | {"likelihood", "ais", "throughput"}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on tensors this small, more of them only wait for each other
    yield
    torch.set_num_threads(threads)


def built_in_metrics():
    found = {}
    for entry in genbench_metrics():
        module, _, name = entry.target.partition(":")
        cls = getattr(importlib.import_module(module), name)
        found[entry.name] = cls(cls.Config(**QUICK.get(entry.name, {})))
    return found


def grey(n, dims):
    return torch.randint(LEVELS, (n, dims)) / (LEVELS - 1)


class Sampling(nn.Module, Sampler):
    def __init__(self, dims=DIMS, codes=CODES):
        super().__init__()
        self.dims, self.codes = dims, codes
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(codes, dims, generator=generator))

    def sample(self, n, y=None):
        return grey(n, self.dims)


class Latent(Sampling, LatentBound, Decoder, Encoder, Reconstructor):
    """A linear code, as good as untrained."""

    def prior(self):
        return standard_normal(self.codes, self.weight)

    def decode(self, z):
        return self._mean(z)

    def observation(self, z):
        return self._noisy(z)

    def sample(self, n, y=None):
        return self._noisy(torch.randn(n, self.codes)).sample()

    def encode(self, x):
        return self._code(x)

    def reconstruct(self, x):
        return self._mean(self._code(x))

    def log_weights(self, x, k, y=None):
        z = torch.randn(k * len(x), self.codes)
        return self._noisy(z).log_prob(x.repeat(k, 1)).view(k, len(x))

    # what the methods have in common, which breaking one of them leaves as it is

    def _code(self, x):
        return (x - 0.5) @ self.weight.T

    def _mean(self, z):
        return torch.sigmoid(z @ self.weight)

    def _noisy(self, z):
        return DiscretizedGaussian(self._mean(z), 0.3, LEVELS)


class Mean(Latent):
    """The same without a p(x|z) of its own."""

    def observation(self, z):
        return None


class Exact(Sampling, Density):
    """Levels that are independent of each other and more probable the brighter they are."""

    def log_prob(self, x, y=None):
        return x.sum(1) - self.dims * torch.linspace(0, 1, LEVELS).logsumexp(0)


class Energy(Sampling, Unnormalized):
    """The same distribution, up to its normaliser."""

    levels = torch.linspace(0, 1, LEVELS)

    def log_unnormalized(self, x, beta):
        return beta * x.sum(1)

    def transition(self, x, beta):
        return self._bright(len(x), beta)

    def base_sample(self, n):
        return grey(n, self.dims)

    def base_log_normalizer(self):
        return torch.tensor(self.dims * math.log(LEVELS))

    def sample(self, n, y=None):
        return self._bright(n, 1.0)

    def _bright(self, n, beta):
        probability = (beta * self.levels).softmax(0)
        return self.levels[torch.multinomial(probability, n * self.dims, replacement=True)].view(n, -1)


#: What applies to the sound models.
APPLICABLE = {
    Latent: ALL_BUT_PHOTOGRAPHS,
    Mean: ALL_BUT_PHOTOGRAPHS,
    Exact: FIDELITY | {"likelihood", "throughput"},
    Energy: FIDELITY | {"ais", "throughput"},
}


def make_split(n, rng, dims, constant, classes):
    """Vectors of levels of three classes, each with two entries of its own of which one is bright."""
    y = rng.integers(classes, size=n)
    x = rng.integers(3, size=(n, dims)).astype(np.uint8)
    shift = rng.integers(2, size=n)
    x[np.arange(n), 2 * y + shift] += 2
    x[:, dims - constant :] = 1
    return Split(x, y, np.stack([y, shift], axis=1))


@pytest.fixture
def make_data():
    def make(sizes=(500, 40, 60), dims=DIMS, constant=0, classes=3):
        rng = np.random.default_rng(0)
        train, validation, test, anomalies = (make_split(n, rng, dims, constant, classes) for n in (*sizes, 20))
        return Dataset(
            "bright",
            DataSpec((dims,), "discrete", LEVELS, 3),
            train,
            validation,
            test,
            family="bright",
            anomalies=anomalies,
            factor_names=("class", "shift"),
            categorical_factors=("class",),
        )

    return make


@pytest.fixture
def dataset(make_data):
    return make_data()


@pytest.fixture
def ask(make_subject):
    """All metrics' answers about a model: measured values and reasons, by the metrics' names."""

    def ask(model, dataset):
        metrics = built_in_metrics()
        answers = list(measure(make_subject(model, dataset), metrics, dict.fromkeys(metrics, "p"), lambda _: None))
        values = [answer for answer in answers if isinstance(answer, Value)]
        measured = {name: [value for value in values if value.metric == name] for name in metrics}
        reasons = {answer.metric: answer for answer in answers if isinstance(answer, Unmeasured)}
        assert {name for name, found in measured.items() if found} | set(reasons) == set(metrics)
        return {name: found for name, found in measured.items() if found}, reasons

    return ask


@pytest.mark.parametrize("model", [Latent, Mean, Exact, Energy])
def test_a_sound_model_fails_nothing(ask, dataset, model):
    values, reasons = ask(model(), dataset)
    assert {name: gap.reason for name, gap in reasons.items() if gap.status == "failed"} == {}
    assert set(values) == APPLICABLE[model]


def returning(base, method, change):
    """A method that returns what that of `base` does, but changed."""
    sound = getattr(base, method)
    return lambda self, *args: change(sound(self, *args))


def first(value):
    """The first number only is replaced."""

    def change(returned):
        returned = returned.clone()
        returned.view(-1)[0] = value
        return returned

    return change


NAN, INF = math.nan, math.inf

BROKEN = [
    (Latent, "log_weights", lambda w: w.T, "returned shape", {"likelihood"}),
    (Latent, "log_weights", lambda w: w.mean(0), "returned shape", {"likelihood"}),
    (Latent, "log_weights", first(NAN), "returned 1 NaN among", {"likelihood"}),
    (Latent, "log_weights", first(INF), "returned 1 inf among", {"likelihood"}),
    (Latent, "log_weights", first(-INF), "returned 1 -inf among", {"likelihood"}),
    (Exact, "log_prob", lambda p: p[:, None], "returned shape", {"likelihood"}),
    (Exact, "log_prob", lambda p: p.sum(), "returned shape", {"likelihood"}),
    (Exact, "log_prob", first(NAN), "returned 1 NaN among", {"likelihood"}),
    (Latent, "sample", lambda x: 4 * x, "returned values from 0 to 4", FIDELITY),
    (Latent, "sample", lambda x: 0.9 * x + 0.04, "levels away from", FIDELITY),
    (Latent, "sample", lambda x: x[:, :-1], "returned shape", FIDELITY),
    (Latent, "sample", lambda x: x[:-1], "returned shape", FIDELITY),
    (Latent, "sample", first(NAN), "returned 1 NaN among", FIDELITY),
    (Latent, "sample", lambda x: x.tolist(), "returned list, not a tensor", FIDELITY),
    (Latent, "encode", first(NAN), "returned 1 NaN among", ENCODING),
    (Latent, "encode", lambda z: z[:, 0], "returned shape", ENCODING),
    (Latent, "encode", lambda z: z[None], "returned shape", ENCODING),
    (Latent, "encode", lambda z: z.numpy(), "returned ndarray, not a tensor", ENCODING),
    (Latent, "reconstruct", lambda x: x.view(-1, 2, 3), "returned shape", RECONSTRUCTING),
    (Latent, "reconstruct", lambda x: x[:1], "returned shape", RECONSTRUCTING),
    (Latent, "reconstruct", first(NAN), "returned 1 NaN among", RECONSTRUCTING),
    (Mean, "decode", first(NAN), "returned 1 NaN among", {"ais", "compression", "arithmetic"}),
    (Mean, "decode", lambda x: x[:, :1], "returned shape", {"ais", "compression", "arithmetic"}),
    (Energy, "log_unnormalized", first(NAN), "returned 1 NaN among", {"ais"}),
    (Energy, "log_unnormalized", lambda p: p[:, None], "returned shape", {"ais"}),
    (Energy, "transition", lambda x: x[:, :-1], "returned shape", {"ais"}),
    (Energy, "transition", lambda x: x[:1], "returned shape", {"ais"}),
    (Energy, "transition", first(NAN), "returned 1 NaN among", {"ais"}),
    (Energy, "base_sample", lambda x: x[:, :-1], "returned shape", {"ais"}),
    (Energy, "base_log_normalizer", lambda z: z.item(), "returned float, not a tensor", {"ais"}),
]


@pytest.mark.parametrize(
    ("base", "method", "change", "message", "concerned"),
    BROKEN,
    ids=[f"{base.__name__}.{method}-{i}" for i, (base, method, *_) in enumerate(BROKEN)],
)
def test_only_what_is_concerned_fails_and_says_what_came_back(ask, dataset, base, method, change, message, concerned):
    broken = type("Broken", (base,), {method: returning(base, method, change)})
    values, reasons = ask(broken(), dataset)
    failed = {name: gap.reason for name, gap in reasons.items() if gap.status == "failed"}
    assert set(failed) == concerned
    for reason in failed.values():
        assert reason.startswith(f"MetricError: Broken.{method} ")
        assert message in reason
    assert set(values) == APPLICABLE[base] - concerned


def prior_that(method, change):
    """A `prior` whose distribution has one broken method."""

    def prior(self):
        distribution = Latent.prior(self)
        sound = getattr(distribution, method)
        setattr(distribution, method, lambda *args: change(sound(*args)))
        return distribution

    return prior


def observation_that(change):
    """An `observation` whose log-likelihood is broken."""

    def observation(self, z):
        found = self._noisy(z)
        sound = found.log_prob
        found.log_prob = lambda x: change(sound(x))
        return found

    return observation


@pytest.mark.parametrize(
    ("part", "methods", "message"),
    [
        ("prior().log_prob", {"prior": prior_that("log_prob", first(NAN))}, "returned 1 NaN among"),
        ("prior().log_prob", {"prior": prior_that("log_prob", lambda p: p[:, None])}, "returned shape"),
        ("prior().sample", {"prior": prior_that("sample", first(NAN))}, "returned 1 NaN among"),
        ("prior().sample", {"prior": prior_that("sample", lambda z: z[:, None])}, "returned shape"),
        ("observation(z).log_prob", {"observation": observation_that(first(NAN))}, "returned 1 NaN among"),
        ("observation(z).log_prob", {"observation": observation_that(lambda p: p[:, None])}, "returned shape"),
        ("observation(z).log_prob", {"observation": observation_that(lambda p: p.mean())}, "returned shape"),
    ],
)
def test_distributions_of_a_decoder_are_named(ask, dataset, part, methods, message):
    values, reasons = ask(type("Broken", (Latent,), methods)(), dataset)
    assert {name for name, gap in reasons.items() if gap.status == "failed"} == {"ais"}
    assert reasons["ais"].reason.startswith(f"MetricError: Broken.{part} ")
    assert message in reasons["ais"].reason
    assert set(values) == APPLICABLE[Latent] - {"ais"}


#: Numbers that have no error bar by their nature: speeds and sizes, and what other tools report in the place of `fid`.
BARE = {"throughput": set(built_in_metrics()["throughput"].names), "fid": {"fid_plugin"}}

#: Means over test points that are all known: where each has the same value, so has the mean, without any error.
EXACT = {"bits_per_dim", "log_likelihood", "reconstruction_mse", "denoising_psnr", "imputation_mse"}


def says_how_sure(value):
    """Whether a number comes with an error bar of some width, or with a word on why not."""
    if value.flags or value.name in BARE.get(value.metric, ()):
        return True
    if value.interval is not None and value.interval[0] < value.interval[1]:
        return True
    return value.stderr is not None and (value.stderr > 0 or value.name in EXACT)


def assert_sound(values, reasons):
    assert {name: gap.reason for name, gap in reasons.items() if gap.status == "failed"} == {}
    assert all(gap.reason for gap in reasons.values())
    found = [value for measured in values.values() for value in measured]
    assert [value.name for value in found if not says_how_sure(value)] == []
    for value in found:
        bounds = [value.value, *(value.interval or ()), 0.0 if value.stderr is None else value.stderr]
        assert all(map(math.isfinite, bounds)), value
        if value.interval is not None:
            low, high = value.interval
            assert low <= value.value <= high, value


class Constant(Latent):
    """Codes that say nothing."""

    def encode(self, x):
        return torch.ones(len(x), self.codes)

    def reconstruct(self, x):
        return torch.full_like(x, 0.5)


class HalfConstant(Latent):
    """Two codes of which one says nothing."""

    def _code(self, x):
        return super()._code(x) * torch.tensor([1.0, 0.0])


class Collapsed(Latent):
    """Draws the same sample again and again."""

    def sample(self, n, y=None):
        return torch.full((n, self.dims), 0.25)


@pytest.mark.parametrize("model", [Latent, Mean, Exact, Energy, Constant, HalfConstant, Collapsed])
@pytest.mark.parametrize(
    "view", ["as it is", "fewer points than features", "two constant features", "one class", "ten"]
)
def test_awkward_data_and_codes_give_no_silent_nonsense(ask, make_data, model, view):
    dataset = make_data(
        dims=40 if view == "fewer points than features" else DIMS,
        sizes={"fewer points than features": (30, 12, 15), "ten": (500, 40, 10)}.get(view, (500, 40, 60)),
        constant=2 if view == "two constant features" else 0,
        classes=1 if view == "one class" else 3,
    )
    values, reasons = ask(model(dataset.spec.dims), dataset)
    assert_sound(values, reasons)
    assert set(values) >= FIDELITY | {"throughput"}


@pytest.mark.parametrize("model", [Latent, Exact, Energy, Constant, Collapsed])
def test_data_that_is_constant_gets_stated_answers(ask, make_data, model):
    values, reasons = ask(model(), make_data(constant=DIMS))
    assert_sound(values, reasons)
    for name in FIDELITY - {"memorisation"}:
        assert all("the features of the data are all the same" in value.flags for value in values[name])
    if issubclass(model, Latent):
        assert reasons["separation"].reason == "all training points are the same"
        assert reasons["disentanglement"].reason == "the model's codes of training data are all the same"
        assert {value.flags for value in values["anomaly"]} == {("all scores are equal",)}


def test_codes_that_do_not_vary_get_stated_answers(ask, dataset):
    values, reasons = ask(Constant(), dataset)
    assert reasons["separation"].reason == "the model's codes of training data are all the same"
    assert reasons["disentanglement"].reason == "the model's codes of training data are all the same"
    assert {value.name: value.flags for value in values["anomaly"]} == {
        "anomaly_code_auroc": ("all scores are equal",),
        "anomaly_error_auroc": (),
    }
    assert {value.flags for value in values["compression"]} == {("the codes of training data are all the same",)}


def test_a_single_class_is_refused_where_classes_are_asked_for(ask, make_data):
    _, reasons = ask(Latent(), make_data(classes=1))
    assert reasons["separation"].reason.startswith("needs data points of at least two classes")
    assert reasons["disentanglement"].reason == "needs two factors that vary, there are 1"


@pytest.mark.parametrize("model", [Latent, Exact, Energy])
def test_a_single_test_point_has_no_error_bar_and_says_so(ask, make_data, model):
    values, reasons = ask(model(), make_data(sizes=(500, 40, 1)))
    assert_sound(values, reasons)
    for name in FIDELITY:
        assert reasons[name].reason == "needs 10 data points, there are 1"
