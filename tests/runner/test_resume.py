import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from genbench.data import apply_view
from genbench.data.device import DeviceSplit
from genbench.data.views import ViewOptions
from genbench.errors import GenbenchError
from genbench.plan.budget import Budget
from genbench.plugins.catalogue import Catalogue, import_target
from genbench.runner import loop, resume
from genbench.runner.resume import load_state, random_state, restore_random_state, save_state
from genbench_datasets.digits import Digits

CPU = torch.device("cpu")
STEPS, KILLED_AFTER = 24, 15
MODELS = {name: offer.entry for name, offer in Catalogue.find().models.items() if offer.plugin.source == "genbench"}
CLOSED_FORM = {"independent", "pca", "ppca"}
STATE = {
    "tensors": [torch.arange(6.0).view(2, 3), torch.tensor(True), torch.zeros(0, dtype=torch.int64)],
    "by number": {0: {"step": torch.tensor(3.0), "betas": (0.9, 0.999)}, 1: None},
    "text": "x",
    "number": 0.1,
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return Digits(Digits.Config(), tmp_path_factory.mktemp("data")).load()


def dataset_for(name, digits):
    return apply_view(digits, ViewOptions(binarize="dynamic")) if name == "rbm" else digits


def train(name, dataset, folder=None, saved=None):
    """A trained model, the curve, and the states that were saved, each read back from a file."""
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    cls = import_target(MODELS[name].target, torch.nn.Module)
    model = cls(dataset.spec, cls.Config())
    states = []

    def save(state):
        save_state(folder / "state", state, "this run")
        states.append(load_state(folder / "state", "this run"))

    trained = loop.train(
        model,
        DeviceSplit(dataset, "train", CPU),
        DeviceSplit(dataset, "validation", CPU),
        Budget(steps=STEPS),
        seed=3,
        precision="fp32",
        select="best",
        emit=lambda event: None,
        quick=lambda model: {},
        keep=lambda point: None,
        save=save if folder else lambda state: None,
        saved=saved,
    )
    return model, trained, states


def timeless(curve):
    return [replace(point, seconds=0.0) for point in curve]


@pytest.mark.parametrize("name", sorted(MODELS.keys() - CLOSED_FORM))
def test_training_that_was_cut_short_goes_on_to_the_same_model(name, digits, tmp_path, monkeypatch):
    dataset = dataset_for(name, digits)
    undisturbed, known, _ = train(name, dataset)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    _, _, states = train(name, dataset, tmp_path)
    assert [state["clock"]["steps"] for state in states] == list(range(1, STEPS + 1))
    assert [state["ended"] for state in states] == [False] * (STEPS - 1) + [True]
    for saved in (states[KILLED_AFTER - 1], states[-1]):
        again, resumed, _ = train(name, dataset, saved=saved)
        for key, value in undisturbed.state_dict().items():
            assert torch.equal(value, again.state_dict()[key]), key
        assert timeless(resumed.curve) == timeless(known.curve)
        assert resumed.selected == known.selected
        assert resumed.clock.steps == STEPS
        assert resumed.clock.samples == known.clock.samples


@pytest.mark.parametrize("name", sorted(CLOSED_FORM))
def test_a_model_without_training_state_is_never_saved(name, digits, tmp_path):
    assert train(name, digits, tmp_path)[2] == []


def test_pixels_that_are_drawn_anew_are_the_same_after_a_resume(digits, tmp_path, monkeypatch):
    dataset = apply_view(digits, ViewOptions(binarize="dynamic"))
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    undisturbed, _, states = train("vae", dataset, tmp_path)
    again, _, _ = train("vae", dataset, saved=states[KILLED_AFTER - 1])
    for key, value in undisturbed.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


@pytest.mark.parametrize("taken", [0, 1, 7, 8, 9, 16, 21])
def test_batches_that_are_skipped_are_those_that_were_taken(digits, taken):
    split = DeviceSplit(digits, "train", CPU)

    def batches(skip):
        return split.shuffled(128, torch.Generator().manual_seed(0), skip)

    whole, rest = batches(0), batches(taken)
    for _ in range(taken):
        next(whole)
    for _ in range(12):
        assert torch.equal(next(whole).x, next(rest).x)


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def test_a_state_comes_back_as_it_was(tmp_path):
    save_state(tmp_path / "state", STATE, "run")
    assert equal(load_state(tmp_path / "state", "run"), STATE)


def test_tensors_that_share_memory_are_each_saved(tmp_path):
    weight = torch.randn(3, 2)
    save_state(tmp_path / "state", {"weight": weight, "transposed": weight.T}, "run")
    loaded = load_state(tmp_path / "state", "run")
    assert torch.equal(loaded["weight"], weight)
    assert torch.equal(loaded["transposed"], weight.T)


def test_what_is_neither_data_nor_tensor_is_refused(tmp_path):
    with pytest.raises(TypeError, match="can't hold a function"):
        save_state(tmp_path / "state", {"hook": lambda: None}, "run")
    assert list(tmp_path.iterdir()) == []


def damaged(path, how):
    content = path.read_bytes()
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "a bit is flipped":
        content = content[:-9] + bytes([content[-9] ^ 4]) + content[-8:]
    elif how == "a pickle":
        torch.save({"weights": torch.zeros(2)}, path)
        return
    elif how == "somebody else's":
        from safetensors.torch import save_file

        save_file({"weights": torch.zeros(2)}, path)
        return
    else:
        content = b""
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "is unreadable"),
        ("a bit is flipped", "is damaged"),
        ("empty", "is unreadable"),
        ("a pickle", "is unreadable"),
        ("somebody else's", "was not written by genbench"),
    ],
)
def test_a_state_that_is_not_whole_is_never_loaded(how, message, tmp_path):
    path = tmp_path / "state"
    save_state(path, STATE, "run")
    damaged(path, how)
    with pytest.raises(GenbenchError, match=message):
        load_state(path, "run")


def test_the_state_of_another_version_is_not_loaded(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(resume, "VERSION", "1")
        save_state(tmp_path / "state", STATE, "run")
    with pytest.raises(GenbenchError, match="of another version of genbench"):
        load_state(tmp_path / "state", "run")


def test_the_state_of_another_run_is_not_loaded(tmp_path):
    save_state(tmp_path / "state", STATE, "run")
    with pytest.raises(GenbenchError, match="of another run"):
        load_state(tmp_path / "state", "another")


def draw():
    """Numbers of every global generator."""
    own = random.random(), random.gauss()  # noqa: S311  # no secrets here
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), np.random.randn(), *own


def test_every_generator_goes_on_where_it_was():
    state = random_state(CPU)
    drawn = draw()
    restore_random_state(state, CPU)
    assert draw() == drawn
