import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.metrics.base import Subject
from genbench.model import Decoder, Encoder, Reconstructor, Sampler, standard_normal
from genbench.runner.draft import ARTIFACTS
from genbench.runner.gallery import SAVERS, save_gallery, varied
from genbench.runner.pictures import GAP, TILE, WIDE_GAP, above, mosaic, picture_of, sheet
from genbench.runner.walks import along, quantile_grid, spherical, straight

CPU = torch.device("cpu")


def two(dims=5, scale_b=1.0):
    a, b = torch.randn(2, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return a / a.norm(), scale_b * b / b.norm()


class TestWalks:
    def test_both_ways_begin_and_end_at_the_codes(self):
        a, b = two(scale_b=3.0)
        centre = torch.full_like(a, 0.3)
        for way in (straight(a, b, 7), spherical(a, b, 7, centre)):
            torch.testing.assert_close(way[0], a)
            torch.testing.assert_close(way[-1], b)

    def test_the_straight_way_has_equal_steps(self):
        a, b = two()
        steps = straight(a, b, 11).diff(dim=0)
        torch.testing.assert_close(steps, ((b - a) / 10).expand(10, -1))

    def test_on_a_sphere_the_way_stays_there_and_turns_by_equal_angles(self):
        a, b = two()
        centre = torch.linspace(-1, 1, 5, dtype=torch.float64)
        way = spherical(centre + 2 * a, centre + 2 * b, 9, centre) - centre
        torch.testing.assert_close(way.norm(dim=1), torch.full((9,), 2.0, dtype=torch.float64))
        angles = torch.acos((way[1:] * way[:-1]).sum(1) / 4)
        torch.testing.assert_close(angles, torch.full((8,), math.acos(float(a @ b)) / 8, dtype=torch.float64))

    def test_it_is_the_formula_of_shoemake(self):
        a, b = two()
        angle = math.acos(float(a @ b))
        expected = [
            (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle) for t in (0, 0.25, 0.5, 0.75, 1)
        ]
        torch.testing.assert_close(spherical(a, b, 5, torch.zeros_like(a)), torch.stack(expected))

    def test_the_distance_from_the_centre_changes_evenly(self):
        a, b = two(scale_b=3.0)
        norms = spherical(a, b, 5, torch.zeros_like(a)).norm(dim=1)
        torch.testing.assert_close(norms, torch.linspace(1, 3, 5, dtype=torch.float64))

    @pytest.mark.parametrize("ratio", [2.0, -1.0, 0.0, 1.0])
    def test_without_one_great_circle_the_way_is_straight(self, ratio):
        a, _ = two()
        way = spherical(a, ratio * a, 4, torch.zeros_like(a))
        torch.testing.assert_close(way, straight(a, ratio * a, 4))

    def test_nearly_the_same_direction_is_no_trouble_in_single_precision(self):
        a = torch.tensor([1.0, 0.0])
        way = spherical(a, torch.tensor([1.0, 1e-3]), 3, torch.zeros(2))
        torch.testing.assert_close(way[1], torch.tensor([1.0, 5e-4]), atol=1e-6, rtol=0)

    def test_along_changes_one_dimension_only(self):
        codes = along(torch.tensor([1.0, 2.0, 3.0]), 1, torch.tensor([-1.0, 5.0]))
        assert codes.tolist() == [[1, -1, 3], [1, 5, 3]]

    def test_the_grid_has_equal_probability_between_its_lines(self):
        mean, std = torch.tensor([1.0, -2.0]).double(), torch.tensor([2.0, 0.5]).double()
        grid = quantile_grid(mean, std, 20).view(20, 20, 2)
        right, up = Normal(mean[0], std[0]).cdf(grid[0, :, 0]), Normal(mean[1], std[1]).cdf(grid[:, 0, 1])
        torch.testing.assert_close(right, (torch.arange(20).double() + 0.5) / 20)
        torch.testing.assert_close(up.flip(0), right)
        assert (grid[..., 0] == grid[:1, :, 0]).all()
        assert (grid[..., 1] == grid[:, :1, 1]).all()


class TestSheets:
    def test_tiles_lie_where_they_should(self):
        rows = [torch.full((3, 1, 8, 8), 0.2), torch.full((2, 1, 8, 8), 0.6)]
        picture = np.asarray(sheet(rows))
        side = TILE + GAP
        assert picture.shape == (2 * side + GAP, 3 * side + GAP)
        assert (picture[GAP : GAP + TILE, GAP : GAP + TILE] == 51).all()
        assert (picture[side + GAP : side + GAP + TILE, side + GAP : side + GAP + TILE] == 153).all()
        assert (picture[side:, 2 * side + GAP :] == 255).all()  # a shorter row ends
        assert (picture[:GAP] == 255).all()

    def test_colours_stay(self):
        x = torch.zeros(1, 3, 2, 2)
        x[0, 0], x[0, 2] = 1.0, 0.5
        picture = np.asarray(sheet([x]))
        assert picture[TILE // 2, TILE // 2].tolist() == [255, 0, 128]

    def test_groups_and_columns_are_set_apart(self):
        row = torch.zeros(3, 1, 8, 8)
        plain = sheet([row] * 4)
        assert sheet([row] * 4, apart=(1,)).width == plain.width + WIDE_GAP
        assert sheet([row] * 4, group=2).height == plain.height + WIDE_GAP

    def test_labels_and_heads_stand_beside_the_tiles_and_are_not_cut_off(self):
        row = torch.ones(2, 1, 8, 8)
        picture = np.asarray(sheet([row, row], ["first", "a rather long label"], ["original", "+1"]))
        plain = np.asarray(sheet([row, row]))
        left, top = picture.shape[1] - plain.shape[1], picture.shape[0] - plain.shape[0]
        assert left > 50
        assert (picture[top:, :left] < 128).any()
        assert (picture[:top, left:] < 128).any()
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (border == 255).all()

    def test_what_is_outside_of_the_range_is_clipped(self):
        assert np.asarray(mosaic(torch.tensor([-1.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4), 2)).tolist()[0] == (
            [0] * 28 + [255] * 28
        )

    def test_originals_stand_above_what_became_of_them(self):
        picture = np.asarray(above(torch.zeros(9, 1, 8, 8), torch.ones(9, 1, 8, 8) * 0.4))
        rows = picture[:, GAP + TILE // 2].tolist()
        found = [level for i, level in enumerate(rows) if level != 255 and level != rows[i - 1]]
        assert found == [0, 102, 0, 102]

    def test_points_in_the_plane_become_a_histogram(self):
        points = torch.tensor([[1.0, 2.0]]).repeat(5, 1)
        dark = np.argwhere(np.asarray(picture_of(points)) == 0)
        x, y = dark.mean(0)[1] / 480 * 6 - 3, 3 - dark.mean(0)[0] / 480 * 6
        assert (x, y) == pytest.approx((1, 2), abs=0.1)

    @pytest.mark.parametrize("shape", [(4, 5), (4, 2, 8, 8)])
    def test_other_data_is_not_shown(self, shape):
        assert picture_of(torch.zeros(shape)) is None


class Autoencoder(nn.Module, Sampler, Decoder, Encoder, Reconstructor):
    """Codes are the picture's first pixels; a decoded picture is 0.5 in the first ones and what the code says there."""

    def __init__(self, data, dims):
        super().__init__()
        self.data, self.dims = data, dims

    def encode(self, x):
        return x.flatten(1)[:, : self.dims]

    def decode(self, z):
        rest = z.new_full((len(z), self.data.dims - self.dims), 0.5)
        return torch.cat([z, rest], 1).view(len(z), *self.data.shape).clamp(0, 1)

    def reconstruct(self, x):
        return self.decode(self.encode(x))

    def prior(self):
        return standard_normal(self.dims, torch.zeros(()))

    def sample(self, n, y=None):
        return self.decode(self.prior().sample((n,)))


class OneWay(nn.Module, Encoder, Reconstructor):
    """Has no way back from codes."""

    def encode(self, x):
        return x.flatten(1)

    def reconstruct(self, x):
        return x


class Broken(Autoencoder):
    def decode(self, z):
        raise ZeroDivisionError("no decoding today")


class Generator(nn.Module, Sampler, Decoder):
    """Codes have the density that it is given."""

    def __init__(self, data, prior):
        super().__init__()
        self.data, self.density, self.decoded = data, prior, None

    def prior(self):
        return self.density

    def decode(self, z):
        self.decoded = z
        return z.new_zeros(len(z), *self.data.shape)

    def sample(self, n, y=None):
        return self.decode(self.density.sample((n,)))


def subject(make, *, shape=(1, 4, 4), kind="discrete", classes=3, factors=False, n=60):
    levels = {"discrete": 11, "binary": 2, "continuous": None}[kind]
    spec = DataSpec(shape, kind, levels, classes)
    rng = np.random.default_rng(0)

    def part():
        x = rng.normal(size=(n, *shape)).astype(np.float32) if levels is None else rng.integers(0, levels, (n, *shape))
        y = None if classes is None else (np.arange(n) % classes).astype(np.int64)
        known = rng.integers(0, 4, (n, 2)) if factors else None
        return Split(x if levels is None else x.astype(np.uint8), y, known)

    names = ("size", "colour") if factors else ()
    dataset = Dataset("made", spec, part(), part(), part(), family="made", factor_names=names)
    splits = {name: DeviceSplit(dataset, name, CPU) for name in ("train", "validation", "test")}
    model = make(spec).eval()
    return Subject(model=model, data=spec, dataset=dataset, device=CPU, seed=0, folder=Path("unused"), **splits)


def saved(given, folder):
    paths, failed = save_gallery(given, folder)
    assert all(path.is_file() for path in paths)
    assert sorted(path.name for path in paths) == sorted(path.name for path in folder.iterdir())
    return {path.name for path in paths}, failed


ALL = set(SAVERS)


def test_every_picture_is_an_artifact_that_records_list():
    assert set(ARTIFACTS.values()) >= ALL


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 6)])
@pytest.mark.parametrize("kind", ["discrete", "binary", "continuous"])
def test_a_model_of_two_dimensional_codes_has_them_all(shape, kind, tmp_path):
    names, failed = saved(subject(lambda spec: Autoencoder(spec, 2), shape=shape, kind=kind), tmp_path)
    assert (names, failed) == (ALL, {})
    for name in ALL - {"rows.npz"}:
        with Image.open(tmp_path / name) as picture:
            assert picture.mode == ("L" if shape[0] == 1 else "RGB"), name


def test_each_model_has_the_pictures_that_it_has_the_capabilities_for(tmp_path):
    def names(make, name, **options):
        (tmp_path / name).mkdir()
        found, failed = saved(subject(make, **options), tmp_path / name)
        assert failed == {}
        return found

    rows = {"reconstructions.png", "rows.npz"}
    assert names(lambda spec: Autoencoder(spec, 5), "five") == ALL - {"manifold.png"}
    assert names(lambda spec: OneWay(), "one way") == rows
    assert names(lambda spec: Generator(spec, standard_normal(2, torch.zeros(()))), "generator") == {
        "samples.png",
        "manifold.png",
    }
    assert names(lambda spec: Generator(spec, standard_normal(3, torch.zeros(()))), "three") == {"samples.png"}
    assert names(lambda spec: Autoencoder(spec, 2), "unlabelled", classes=None) == ALL - {"arithmetic.png"}
    assert names(lambda spec: Autoencoder(spec, 2), "one class", classes=1) == ALL - {"arithmetic.png"}
    assert names(lambda spec: Autoencoder(spec, 2), "vectors", shape=(7,)) == set()
    assert names(lambda spec: Autoencoder(spec, 2), "four channels", shape=(4, 4, 4)) == set()


def test_one_that_fails_leaves_none_of_itself_but_the_others(tmp_path, capsys):
    names, failed = saved(subject(lambda spec: Broken(spec, 2)), tmp_path)
    assert names == set()
    assert set(failed) == ALL
    assert "no decoding today" in failed["manifold.png"]
    assert "ZeroDivisionError" in capsys.readouterr().err

    class BadSampler(Autoencoder):
        def sample(self, n, y=None):
            raise RuntimeError("no samples")

    names, failed = saved(subject(lambda spec: BadSampler(spec, 2)), tmp_path)
    assert names == ALL - {"samples.png"}
    assert failed == {"samples.png": "RuntimeError: no samples"}


def test_pictures_are_the_same_again_and_leave_the_random_state_alone(tmp_path):
    given = subject(lambda spec: Autoencoder(spec, 2))
    state = torch.get_rng_state()
    content = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        saved(given, tmp_path / name)
        content.append({path.name: path.read_bytes() for path in (tmp_path / name).glob("*.png")})
    assert content[0] == content[1]
    assert torch.equal(state, torch.get_rng_state())


def test_the_manifold_of_another_prior_has_its_mean_and_spread(tmp_path):
    component = Independent(Normal(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[1.0, 2.0], [1.0, 2.0]])), 1)
    mixture = MixtureSameFamily(Categorical(torch.tensor([0.5, 0.5])), component)
    given = subject(lambda spec: Generator(spec, mixture))
    SAVERS["manifold.png"](given)
    expected = quantile_grid(torch.tensor([2.0, 0.0]), torch.tensor([math.sqrt(2), 2.0]), 20)
    torch.testing.assert_close(given.model.decoded, expected)


def test_the_moments_of_a_prior_that_does_not_know_them_are_those_of_samples():
    class Shy(Independent):
        mean = property(lambda self: (_ for _ in ()).throw(NotImplementedError()))

    given = subject(lambda spec: Generator(spec, Shy(Normal(torch.ones(2), torch.ones(2) * 3), 1)))
    torch.manual_seed(0)
    SAVERS["manifold.png"](given)
    codes = given.model.decoded
    expected = quantile_grid(torch.ones(2), torch.ones(2) * 3, 20)
    # five standard errors of a mean over 10,000 samples, and of a spread, times the outermost quantile
    assert (codes - expected).abs().max() < 5 * 0.03 + 1.96 * 5 * 3 / math.sqrt(20_000)


def test_test_images_are_of_every_class_in_turn():
    given = subject(lambda spec: OneWay(), classes=3)
    y = given.test.y()[varied(given.test, 9)]
    assert y.tolist() == [0, 1, 2] * 3
    assert len(set(varied(given.test, 60).tolist())) == 60
    assert len(varied(subject(lambda spec: OneWay(), classes=None).test, 9)) == 9


@pytest.mark.parametrize("kind", ["discrete", "binary"])
def test_rows_are_of_the_same_images_and_the_same_noise_for_all_models(kind, tmp_path):
    found = []
    for i, make in enumerate((lambda spec: OneWay(), lambda spec: Autoencoder(spec, 2))):
        (tmp_path / str(i)).mkdir()
        save_gallery(subject(make, kind=kind), tmp_path / str(i))
        with np.load(tmp_path / str(i) / "rows.npz") as arrays:
            found.append(dict(arrays))
    one, other = found
    assert set(one) == {"x", "reconstructed", "noisy", "restored"}
    assert {(array.shape, array.dtype.name) for array in one.values()} == {((10, 1, 4, 4), "uint8")}
    assert (one["x"] == other["x"]).all()
    assert (one["noisy"] == other["noisy"]).all()
    assert (one["noisy"] != one["x"]).any()
    assert (one["restored"] == one["noisy"]).all()  # this model gives back what it is given
    assert (other["restored"].reshape(10, -1)[:, 2:] == 128).all()


def test_arithmetic_adds_the_mean_difference_of_training_codes():
    decoded = []

    class Watched(Autoencoder):
        def decode(self, z):
            decoded.append(z)
            return super().decode(z)

    given = subject(lambda spec: Watched(spec, 2))
    SAVERS["arithmetic.png"](given)
    train, y = given.model.encode(given.train.x()), given.train.y()
    assert len(decoded) == 12  # four images of each class
    for i, codes in enumerate(decoded):
        difference = train[y == (i // 4 + 1) % 3].mean(0) - train[y == i // 4].mean(0)
        torch.testing.assert_close(codes[4] - codes[0], difference)
        torch.testing.assert_close(codes[6] - codes[0], 1.5 * difference)


def test_arithmetic_changes_the_values_of_factors_where_they_are_known(tmp_path):
    given = subject(lambda spec: Autoencoder(spec, 2), factors=True, classes=None)
    picture = SAVERS["arithmetic.png"](given)
    # two factors, both of which are moved up and down, three images each
    assert picture.height == pytest.approx(12 * (TILE + GAP) + GAP, abs=30)


def test_a_traversal_goes_through_the_dimensions_that_vary_most():
    decoded = []

    class Scaled(Autoencoder):
        def encode(self, x):
            return x.flatten(1)[:, : self.dims] * torch.tensor([1.0, 5.0, 0.1])

        def decode(self, z):
            decoded.append(z)
            return super().decode(z)

    given = subject(lambda spec: Scaled(spec, 3))
    SAVERS["traversal.png"](given)
    codes = given.model.encode(given.test.x())
    assert [int(way.std(0).argmax()) for way in decoded] == [1, 0, 2]
    for way, dimension in zip(decoded, [1, 0, 2], strict=True):
        mean, std = codes[:, dimension].mean(), codes[:, dimension].std()
        torch.testing.assert_close(way[:, dimension], mean + std * torch.linspace(-2, 2, 9))
        others = [d for d in range(3) if d != dimension]
        assert (way[:, others] == way[0, others]).all()


def test_interpolation_goes_between_images_of_different_classes():
    decoded = []

    class Watched(Autoencoder):
        def decode(self, z):
            decoded.append(z)
            return super().decode(z)

    given = subject(lambda spec: Watched(spec, 2), classes=5)
    SAVERS["interpolation.png"](given)
    ends = given.test.batch(varied(given.test, 10))
    codes = given.model.encode(ends.x)
    assert len(decoded) == 10
    for i in range(5):
        assert ends.y[2 * i] != ends.y[2 * i + 1]
        for way in decoded[2 * i : 2 * i + 2]:
            torch.testing.assert_close(way[[0, -1]], codes[2 * i : 2 * i + 2])
        torch.testing.assert_close(decoded[2 * i], straight(codes[2 * i], codes[2 * i + 1], 10))
