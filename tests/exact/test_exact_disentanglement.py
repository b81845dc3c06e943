"""MIG, SAP and DCI of codes whose scores follow from how they were made."""

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from genbench.data.device import DeviceSplit
from genbench.metrics import Subject
from genbench.metrics.dci import PARTS, dci
from genbench.metrics.disentanglement import Disentanglement
from genbench.metrics.gaps import Points, gaps
from genbench.metrics.resampling import GROUPS
from genbench.model import Encoder
from genbench.selftest.base import standard_errors
from genbench_datasets.sprites import Sprites

COUNTS = (3, 6, 10, 17, 17)  # as many values as the factors of sprites
CATEGORICAL = [True, False, False, False, False]
NAMES = ("mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness")
#: Degrees of freedom of their standard errors.
DEGREES = dict(zip(NAMES, [GROUPS - 1] * 2 + [PARTS - 1] * 3, strict=True))


def points(rng, n, code, counts=COUNTS):
    """`n` points of independent uniform factors, with the codes that `code(factors, rng)` makes of them."""
    factors = np.stack([rng.integers(count, size=n) for count in counts], axis=1)
    return Points(np.asarray(code(factors, rng), dtype=float), factors)


def scores(code, counts=COUNTS, categorical=CATEGORICAL, n=(3000, 2000), seed=0, trees=5):
    rng = np.random.default_rng(seed)
    train, test = (points(rng, size, code, counts) for size in n)
    found = dci(train, test, categorical, trees)
    mig, sap = gaps(train, test, categorical, bins=20)
    values = (mig, sap, found.disentanglement, found.completeness, found.informativeness)
    return dict(zip(NAMES, values, strict=True))


def within(found, name):
    """How far a score may be from what is known."""
    return standard_errors(DEGREES[name]) * found[name].stderr


def the_factors(factors, rng):
    return np.column_stack([factors, rng.standard_normal((len(factors), 6))])


def noise(factors, rng):
    return rng.standard_normal((len(factors), 8))


def test_codes_that_are_the_factors_are_perfect():
    found = scores(the_factors)
    assert found["mig"].value == pytest.approx(1, abs=within(found, "mig"))
    # a line through another code explains nothing, thresholds on it are right for one shape in three
    assert found["sap"].value == pytest.approx((2 / 3 + 4) / 5, abs=within(found, "sap"))
    assert max(found["mig"].stderr, found["sap"].stderr) < 0.005
    for name in NAMES[2:]:
        assert found[name].value == pytest.approx(1, abs=0.002), name


def test_codes_that_say_nothing_score_nothing():
    found = scores(noise)
    for name, score in found.items():
        assert abs(score.value) < within(found, name), name
        assert score.stderr < 0.02, name


def test_mixed_factors_score_lower():
    def mixed(factors, rng):
        scaled = (factors - factors.mean(0)) / factors.std(0)
        return scaled @ np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]

    pure, mix = scores(the_factors), scores(mixed)
    for name in NAMES[:4]:
        assert mix[name].value < pure[name].value - 0.2, name
    assert mix["dci_informativeness"].value > 0.8


def test_factors_turned_by_45_degrees_have_no_gap():
    def turned(factors, rng):
        signs = 2 * factors - 1
        return np.column_stack([signs.sum(1), signs[:, 0] - signs[:, 1]])

    # either code is correlated with either factor by 1/sqrt(2), and leaves the other possible half of the time
    found = scores(turned, (2, 2), [False, False])
    for name in ("mig", "sap", "dci_disentanglement", "dci_completeness"):
        assert abs(found[name].value) < within(found, name) + 1e-9, name
    assert found["dci_informativeness"].value == pytest.approx(1)


def test_a_factor_in_two_codes_is_disentangled_but_not_complete():
    found = scores(lambda factors, _: factors[:, [0, 0, 1]], (2, 2), [False, False])
    assert found["mig"].value == pytest.approx(1 / 2, abs=within(found, "mig"))
    assert found["sap"].value == pytest.approx(1 / 2, abs=within(found, "sap"))
    assert found["dci_disentanglement"].value == pytest.approx(1, abs=0.002)
    # its trees use both codes alike
    completeness = (1 - math.log(2) / math.log(3) + 1) / 2
    assert found["dci_completeness"].value == pytest.approx(completeness, abs=within(found, "dci_completeness"))
    assert found["dci_completeness"].stderr < 0.05


def test_two_factors_in_one_code_are_complete_but_not_disentangled():
    def shared(factors, rng):
        return np.column_stack([3 * factors[:, 0] + factors[:, 1], rng.standard_normal(len(factors))])

    found = scores(shared, (3, 3), [True, True])
    assert found["mig"].value == pytest.approx(1, abs=within(found, "mig"))  # it looks at one factor at a time
    assert found["sap"].value == pytest.approx(2 / 3, abs=within(found, "sap"))
    assert found["dci_disentanglement"].value == pytest.approx(0, abs=0.02)
    assert found["dci_completeness"].value == pytest.approx(1, abs=0.02)


def test_rounding_of_codes_says_nothing():
    def rounded(factors, rng):
        return np.column_stack([factors[:, 0] * (1 + 1e-12 * factors[:, 1]), rng.standard_normal(len(factors))])

    found = scores(rounded, (3, 4), [True, True])
    assert found["mig"].value == pytest.approx(1 / 2, abs=within(found, "mig"))
    assert found["sap"].value == pytest.approx((2 / 3 + 0) / 2, abs=within(found, "sap"))


P, Q = 0.2, 0.4  # shares of the bits that are flipped, and of the three-valued factor's that are drawn anew


def with_rivals(factors, rng):
    """Every factor but the second has a code that is it, and one that is it most of the time."""
    a, b, c = factors.T
    flipped = np.where(rng.random(len(a)) < P, 1 - a, a)
    redrawn = np.where(rng.random(len(c)) < Q, rng.integers(3, size=len(c)), c)
    return np.column_stack([a, flipped, b, c, redrawn])


def entropy(*p):
    return -sum(x * math.log(x) for x in p)


def test_gaps_to_a_known_rival_are_covered_by_their_intervals():
    wrong = Q * 2 / 3
    left = entropy(1 - wrong, wrong / 2, wrong / 2)  # of the third factor, given its rival
    truth = {
        "mig": (entropy(P, 1 - P) / math.log(2) + 1 + left / math.log(3)) / 3,
        "sap": (1 - (1 - 2 * P) ** 2 + 1 + wrong) / 3,  # R² of a flipped bit; accuracy of the third
    }
    covered, off = {"mig": [], "sap": []}, {"mig": [], "sap": []}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        train, test = (points(rng, n, with_rivals, (2, 2, 3)) for n in (1000, 1000))
        for (name, true), score in zip(truth.items(), gaps(train, test, [False, False, True], bins=20), strict=True):
            off[name].append(score.value - true)
            covered[name].append(abs(score.value - true) < 1.96 * score.stderr)
    binomial = math.sqrt(0.95 * 0.05 / 200)
    for name in truth:
        assert abs(np.mean(covered[name]) - 0.95) < 5 * binomial, name
        assert abs(np.mean(off[name])) < 5 * np.std(off[name]) / math.sqrt(200), name


def test_intervals_of_dci_cover_zero_for_codes_that_say_nothing():
    draws = [scores(noise, (3, 4), [True, False], n=(1000, 300), seed=seed, trees=2) for seed in range(60)]
    for name in NAMES[2:4]:
        covered = np.mean([low < 0 < high for low, high in (draw[name].interval for draw in draws)])
        assert covered > 0.95 - 5 * math.sqrt(0.95 * 0.05 / len(draws)), name


def test_standard_errors_of_dci_are_how_much_it_varies():
    def blurred(factors, rng):
        centred = factors - factors.mean(0)
        return np.column_stack([centred + rng.standard_normal(centred.shape), centred[:, :1] + centred[:, 1:]])

    draws = [scores(blurred, (3, 4), [True, False], n=(1000, 300), seed=seed, trees=2) for seed in range(40)]
    for name in NAMES[2:]:
        variance = np.var([draw[name].value for draw in draws], ddof=1)
        claimed = np.mean([draw[name].stderr ** 2 for draw in draws])
        # 39 degrees of freedom: the ratio's own standard error is sqrt(2/39), a fifth
        assert abs(math.log(claimed / variance)) < 5 * math.sqrt(2 / 39), name


@pytest.mark.parametrize("dimension", [1, 10])
def test_pca_does_not_disentangle_sprites(dimension, tmp_path):
    dataset = Sprites(Sprites.Config(n=5000), tmp_path).load()
    pca = PCA(dimension, random_state=0).fit(dataset.train.x.reshape(3000, -1) / 255)

    class Components(Encoder):
        def encode(self, x):
            return torch.from_numpy(pca.transform(x.flatten(1).double().numpy()))

    device = torch.device("cpu")
    splits = {name: DeviceSplit(dataset, name, device) for name in ("train", "validation", "test")}
    subject = Subject(
        model=Components(), data=dataset.spec, dataset=dataset, **splits, device=device, seed=0, folder=tmp_path
    )
    found = {m.name: m for m in Disentanglement(Disentanglement.Config(trees=5)).measure(subject)}
    assert 0 < found["mig"].value < 0.15
    assert found["sap"].value < 0.5 * found["sap"].settings["sap_maximum"]
    assert found["dci_disentanglement"].value < 0.5
    assert found["mig"].settings["factors"] == ["shape", "scale", "rotation", "x", "y"]
