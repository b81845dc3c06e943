import numpy as np
import pytest
import torch

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.disentanglement import Disentanglement
from genbench.model import Encoder
from genbench.selftest.base import standard_errors

COUNTS = (3, 4, 5)


class Function(Encoder):
    def __init__(self, function):
        self.function = function

    def encode(self, x):
        return self.function(x)


def make_dataset(sizes=(1000, 10, 400), counts=COUNTS):
    """Vectors of three factors and three dimensions of noise; the first factor has no order."""
    rng = np.random.default_rng(0)

    def split(n):
        factors = np.stack([rng.integers(count, size=n) for count in counts], axis=1)
        x = np.concatenate([factors, rng.standard_normal((n, 3))], axis=1).astype(np.float32)
        return Split(x, factors=factors)

    train, validation, test = map(split, sizes)
    return Dataset(
        "known",
        DataSpec((6,), "continuous"),
        train,
        validation,
        test,
        family="known",
        factor_names=("kind", "size", "place"),
        categorical_factors=("kind",),
    )


def factors(x):
    return x[:, :3]


def noisy_factors(x):
    return torch.cat([x[:, :3] + 0.5 * x[:, 3:], x[:, 3:]], dim=1)


@pytest.fixture
def scores(make_subject, by_name):
    def measure(function, dataset=None, **config):
        subject = make_subject(Function(function), dataset or make_dataset())
        return by_name(Disentanglement(Disentanglement.Config(**{"trees": 4} | config)).measure(subject))

    return measure


def values(scores):
    return {name: (found.value, found.stderr) for name, found in vars(scores).items()}


def test_every_name_that_is_emitted_is_announced_and_has_an_error(scores):
    found = scores(noisy_factors)
    assert tuple(vars(found)) == Disentanglement.names
    for measurement in vars(found).values():
        assert measurement.stderr > 0
        assert (measurement.kind, measurement.better) == ("estimate", "higher")
    low, high = found.dci_completeness.interval
    assert (low + high) / 2 == pytest.approx(found.dci_completeness.value)
    assert (high - low) / 2 == pytest.approx(2.262 * found.dci_completeness.stderr, rel=1e-3)  # t of nine degrees


def test_what_was_measured_is_in_the_settings(scores):
    settings = scores(factors, n_train=600, n_test=300).mig.settings
    assert (settings["n_train"], settings["n_test"], settings["dimension"]) == (600, 300, 3)
    assert settings["factors"] == ["kind", "size", "place"]
    assert settings["sap_maximum"] == pytest.approx((2 / 3 + 1 + 1) / 3)


def test_the_order_of_the_codes_does_not_matter(scores):
    order = [4, 2, 0, 5, 1, 3]
    assert values(scores(lambda x: noisy_factors(x)[:, order])) == values(scores(noisy_factors))


def test_the_scale_of_the_codes_does_not_matter(scores):
    scale, shift = torch.tensor([1e-4, 1e4, 3, 7, 0.01, 500]), torch.tensor([0.0, 5, -1, 10, 0, 3])
    plain = scores(noisy_factors)
    scaled = scores(lambda x: noisy_factors(x).double() * scale + shift)
    for name, (value, stderr) in values(scaled).items():
        assert (value, stderr) == pytest.approx(values(plain)[name], abs=1e-6), name


def test_mirrored_codes_score_the_same_within_the_error(scores):
    plain, mirrored = scores(noisy_factors), scores(lambda x: -noisy_factors(x))
    for name, (value, stderr) in values(mirrored).items():
        assert abs(value - values(plain)[name][0]) < standard_errors(9) * stderr, name


def test_the_same_codes_get_the_same_scores(scores):
    assert values(scores(noisy_factors)) == values(scores(noisy_factors))


def test_constant_codes_change_only_what_the_number_of_codes_is_in(scores):
    plain = scores(factors)
    padded = scores(lambda x: torch.cat([torch.full((len(x), 2), 7.0), factors(x)], dim=1))
    for name in ("mig", "sap", "dci_informativeness", "dci_disentanglement"):
        assert values(padded)[name] == pytest.approx(values(plain)[name], abs=1e-3), name
    assert padded.mig.flags == ("2 of 5 codes are constant",)
    assert plain.mig.flags == ()


def test_codes_that_only_round_are_constant(scores):
    padded = scores(lambda x: torch.cat([3 + 1e-7 * x[:, 3:4], factors(x)], dim=1))
    assert padded.mig.flags == ("1 of 4 codes are constant",)


def test_a_code_that_is_constant_throughout_is_refused(scores):
    with pytest.raises(NotApplicable, match="codes of training data are all the same"):
        scores(lambda x: torch.zeros(len(x), 3))


def test_codes_that_hardly_ever_vary_are_refused(scores):
    dataset = make_dataset()
    rare = dataset.train.x[7, 3]
    with pytest.raises(NotApplicable, match="trees find nothing to split on"):
        scores(lambda x: (x[:, 3:4] == rare).float(), dataset)


def test_a_single_code_is_compared_with_knowing_nothing(scores):
    found = scores(lambda x: x[:, 1:2])
    assert found.mig.value == pytest.approx(1 / 3, abs=standard_errors(19) * found.mig.stderr)
    assert found.sap.value == pytest.approx(1 / 3, abs=standard_errors(19) * found.sap.stderr)
    assert found.dci_completeness.value == 1
    assert all("one code only" in measurement.flags[0] for measurement in vars(found).values())


def test_a_single_code_of_noise_scores_nothing(scores):
    found = scores(lambda x: x[:, 3:4])
    for measurement in (found.mig, found.sap, found.dci_informativeness):
        assert abs(measurement.value) < standard_errors(9) * measurement.stderr
    assert found.dci_disentanglement.value == pytest.approx(0, abs=1e-9)


def test_a_factor_of_one_value_is_left_out_and_named(scores):
    found = scores(factors, make_dataset(counts=(3, 1, 5)))
    assert found.mig.settings["factors"] == ["kind", "place"]
    assert found.mig.flags == ("factors left out, as they hardly vary: size", "1 of 3 codes are constant")
    assert found.dci_disentanglement.value == pytest.approx(1, abs=0.01)


def test_a_factor_that_varies_in_one_group_of_test_points_only_is_left_out(scores):
    dataset = make_dataset()
    dataset.test.factors[:, 1] = 0
    dataset.test.factors[123, 1] = 1
    assert scores(factors, dataset).mig.settings["factors"] == ["kind", "place"]


def test_a_single_factor_is_not_enough(scores):
    with pytest.raises(NotApplicable, match="needs two factors that vary, there are 1"):
        scores(factors, make_dataset(counts=(1, 1, 5)))


@pytest.mark.parametrize("sizes", [(499, 10, 400), (1000, 10, 39)])
def test_too_few_points_are_refused(scores, sizes):
    with pytest.raises(NotApplicable, match="needs 500 training and 40 test points, there are"):
        scores(factors, make_dataset(sizes))


def test_sparse_tables_are_flagged(scores):
    found = scores(lambda x: x, make_dataset((1000, 10, 90)))
    assert found.mig.flags == ("fewer test points than the 100 cells of a table",)
    assert found.sap.flags == ()


def test_a_category_that_training_never_saw_counts_as_wrong(scores):
    dataset = make_dataset()
    kept = dataset.train.factors[:, 0] < 2
    few = Dataset(**{**vars(dataset), "train": dataset.train.at(kept)})
    assert scores(factors, few).dci_informativeness.value < 0.95


def test_data_without_factors_is_not_applicable(make_subject, continuous_dataset):
    subject = make_subject(Function(lambda x: x), continuous_dataset)
    with pytest.raises(NotApplicable, match="the data has no ground-truth factors"):
        Disentanglement(Disentanglement.Config()).measure(subject)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:, 0], r"Function\.encode returned shape \(500,\), not \(500, any\)"),
        (lambda x: x * torch.nan, r"Function\.encode returned .* NaN among"),
    ],
)
def test_what_is_no_code_is_named(scores, function, message):
    with pytest.raises(MetricError, match=message):
        scores(function)
