import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genbench.data import Dataset, DataSpec, Split
from genbench.metrics import MetricError, NotApplicable
from genbench.metrics.arithmetic import Arithmetic, Attribute
from genbench.metrics.resampling import wilson
from genbench.model import Decoder, Encoder, Reconstructor

SHAPE, LEVELS = (1, 4, 8), 5
PLACES, LENGTHS = 3, 6
KEEPS_B = pytest.approx(0.4, abs=0.1)


def draw(place, length):
    """Images `(n, *SHAPE)` with a block at one of three places, and below it a bar of one of six lengths."""
    column = torch.arange(SHAPE[2])
    block = (column // 2 == place[:, None]).float()[:, None].expand(-1, 2, -1)
    bar = (column <= length[:, None]).float()[:, None].expand(-1, 2, -1)
    return torch.cat([block, bar], 1)[:, None]


def read(x):
    """The place and length of images `(n, *SHAPE)`, `(n,)` each."""
    return x[:, 0, 0].unflatten(1, (4, 2)).sum(2)[:, :PLACES].argmax(1), (x[:, 0, 2] > 0.5).sum(1) - 1


def factors_dataset(hidden=False, noise=0, sizes=(900, 20, 300)):
    """`draw` of random factors; `hidden` adds one that is not in the image, `noise` levels that are added anywhere."""
    rng = np.random.default_rng(0)
    splits = []
    for n in sizes:
        factors = np.stack([rng.integers(PLACES, size=n), rng.integers(LENGTHS, size=n), rng.integers(4, size=n)], 1)
        x = draw(*torch.from_numpy(factors[:, :2]).T).numpy() * 3 + rng.integers(noise + 1, size=(n, *SHAPE))
        splits.append(Split(x.astype(np.uint8), factors=factors if hidden else factors[:, :2]))
    names = ("place", "length", "hidden") if hidden else ("place", "length")
    spec = DataSpec(SHAPE, "discrete", LEVELS)
    return Dataset("bars", spec, *splits, family="bars", factor_names=names, categorical_factors=("place",))


class Coder(Encoder, Reconstructor):
    def __init__(self, encode, decode):
        self.there, self.back = encode, decode

    def encode(self, x):
        return self.there(x)

    def decode(self, z):
        return self.back(z)

    def reconstruct(self, x):
        return self.decode(self.encode(x))


def factors_of(x):
    place, length = read(x)
    return torch.cat([F.one_hot(place, PLACES), length[:, None]], 1).float()


def drawn(z):
    return draw(z[:, :PLACES].argmax(1), z[:, PLACES].round().clamp(0, LENGTHS - 1))


def measure(subject, by_name, **config):
    return by_name(Arithmetic(Arithmetic.Config(**config)).measure(subject))


def test_codes_that_are_the_factors_flip_one_and_keep_the_rest(make_subject, by_name):
    got = measure(make_subject(Coder(factors_of, drawn), factors_dataset()), by_name)
    flip, keep = got.attribute_flip, got.attribute_keep
    assert (flip.value, keep.value) == (1.0, 1.0)
    assert (flip.kind, flip.better, keep.kind, keep.better) == ("estimate", "higher", "estimate", "higher")
    assert flip.settings["pairs"] == [
        "place: 0 to 1",
        "place: 1 to 2",
        "place: 2 to 0",
        "length: low to high",
        "length: high to low",
    ]
    assert flip.settings["n_train"] == 900
    # every point of a turn for the place, and two thirds of those for the length, but for the draw
    assert flip.settings["n"] == pytest.approx(250, abs=5 * math.sqrt(150 * 2 / 3 * 1 / 3))
    assert flip.interval == wilson(1.0, flip.settings["n"])
    assert (flip.settings["flip_before"], flip.settings["recognised"]) == (0.0, 1.0)
    assert flip.settings["classifier_accuracy"] == {"place": 1.0, "length": 1.0}
    assert flip.settings == keep.settings
    assert flip.flags == keep.flags == ()


def test_a_decoder_that_ignores_its_code_flips_no_more_than_by_chance(make_subject, by_name):
    def same(z):
        return draw(torch.zeros(len(z)), torch.full((len(z),), 5))

    got = measure(make_subject(Coder(factors_of, same), factors_dataset()), by_name)
    before = got.attribute_flip.settings["flip_before"]
    assert got.attribute_flip.value == before
    assert 0.2 < before < 0.6
    assert got.attribute_keep.value == 1


def test_a_code_that_holds_one_factor_moves_what_hangs_on_it(make_subject, by_name):
    """The length is drawn from the place: moving the place always changes both, moving the length changes nothing."""

    def both(z):
        place = z.argmax(1)
        return draw(place, 2 * place)

    model = Coder(lambda x: factors_of(x)[:, :PLACES], both)
    got = measure(make_subject(model, factors_dataset()), by_name)
    assert got.attribute_keep.value == KEEPS_B
    low, high = got.attribute_keep.interval
    assert low < got.attribute_keep.value < high
    # all places, and the lengths that already were at the other end
    assert 0.6 < got.attribute_flip.value < 0.9
    assert got.attribute_flip.value > got.attribute_flip.settings["flip_before"] + 0.5


def test_differences_are_those_of_training_codes(make_subject, by_name):
    """A model that says the same of all training points: nothing is added, and nothing flips."""

    def silent(x):
        return factors_of(x) * (len(x) < 300)

    got = measure(make_subject(Coder(silent, drawn), factors_dataset(sizes=(900, 20, 200))), by_name)
    assert (got.attribute_flip.value, got.attribute_keep.value) == (0.0, 1.0)
    assert got.attribute_flip.interval == wilson(0.0, got.attribute_flip.settings["n"])


def test_classes_have_no_rest_to_keep(make_subject, make_dataset):
    """Pixels as codes: the mean difference of two classes is a row that lights up and one that goes dark."""
    model = Coder(lambda x: x.flatten(1), lambda z: z.view(-1, 1, 3, 3))
    (flip,) = Arithmetic(Arithmetic.Config()).measure(make_subject(model, make_dataset((600, 20, 200))))
    assert flip.name == "attribute_flip"
    assert flip.value > 0.95
    assert flip.settings["n"] == 200
    assert flip.settings["pairs"] == ["class: 0 to 1", "class: 1 to 2", "class: 2 to 0"]
    assert set(flip.settings["classifier_accuracy"]) == {"class"}


def test_a_factor_that_cannot_be_seen_is_left_out(make_subject, by_name):
    got = measure(make_subject(Coder(factors_of, drawn), factors_dataset(hidden=True, noise=1)), by_name)
    assert (got.attribute_flip.value, got.attribute_keep.value) == (1.0, 1.0)
    assert got.attribute_flip.flags == ("attributes left out, as the classifier hardly knows them: hidden",)
    assert not any(pair.startswith("hidden") for pair in got.attribute_flip.settings["pairs"])
    assert got.attribute_flip.settings["classifier_accuracy"]["hidden"] < 0.6


def test_classes_that_cannot_be_told_are_not_measured(make_subject, make_dataset):
    dataset = make_dataset()
    rng = np.random.default_rng(1)
    for split in (dataset.train, dataset.test):
        split.y[:] = rng.permutation(split.y)
    with pytest.raises(NotApplicable, match="recognises no attribute"):
        Arithmetic(Arithmetic.Config()).measure(
            make_subject(Coder(lambda x: x.flatten(1), lambda z: z.view(-1, 1, 3, 3)), dataset)
        )


def test_vectors_are_classified_too(make_subject):
    rng = np.random.default_rng(0)
    splits = []
    for n in (300, 10, 100):
        y = rng.integers(2, size=n)
        splits.append(Split((rng.normal(size=(n, 2)) + 50 * y[:, None] + 1000).astype(np.float32), y))
    dataset = Dataset("blobs", DataSpec((2,), "continuous", num_classes=2), *splits, family="blobs")
    (flip,) = Arithmetic(Arithmetic.Config()).measure(make_subject(Coder(lambda x: x, lambda z: z), dataset))
    assert (flip.value, flip.settings["classifier_accuracy"]) == (1.0, {"class": 1.0})


def test_the_numbers_are_the_same_every_time_and_leave_torch_as_it_was(make_subject, make_dataset):
    model = Coder(lambda x: x.flatten(1), lambda z: 0.5 * z.view(-1, 1, 3, 3))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(Arithmetic(Arithmetic.Config()).measure(make_subject(model, make_dataset())))
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("values", "group", "groups", "target"),
    [
        (range(7), [0, 0, 0, 1, 1, 2, 2], ("low", "middle", "high"), (2, None, 0)),
        ([2, 5, 9], [0, 1, 2], ("low", "middle", "high"), (2, None, 0)),
        ([3, 8], [0, 1], ("low", "high"), (1, 0)),
    ],
)
def test_thirds_of_the_values_of_an_ordered_factor(values, group, groups, target):
    values = np.array(values)
    attribute = Attribute.ordered("size", 0, values)
    assert (attribute.group.tolist(), attribute.groups, attribute.target) == (group, groups, target)
    assert attribute.of(Split(values, factors=values[::-1, None])).tolist() == group[::-1]


class NoWayBack(Encoder):
    def encode(self, x):
        return x.flatten(1)


class OnlyReconstructs(NoWayBack, Reconstructor):
    def reconstruct(self, x):
        return x


class Generator(NoWayBack, Decoder):
    def prior(self):
        raise AssertionError("not asked for")

    def decode(self, z):
        return z.view(-1, 1, 3, 3)


def test_any_way_from_codes_to_data_will_do(make_subject, make_dataset):
    for model in (NoWayBack(), OnlyReconstructs()):
        with pytest.raises(NotApplicable, match="no way back from a code"):
            Arithmetic(Arithmetic.Config()).measure(make_subject(model))
    assert Arithmetic(Arithmetic.Config()).measure(make_subject(Generator()))[0].value > 0.9


def test_data_without_attributes_is_not_measured(make_subject, make_dataset):
    with pytest.raises(NotApplicable, match="neither factors nor classes"):
        Arithmetic(Arithmetic.Config()).measure(make_subject(Generator(), make_dataset(labelled=False)))


def test_what_is_no_code_is_named(make_subject):
    with pytest.raises(MetricError, match=r"Coder\.decode returned shape"):
        Arithmetic(Arithmetic.Config()).measure(make_subject(Coder(lambda x: x.flatten(1), lambda z: z)))
