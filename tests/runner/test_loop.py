import enum
import math

import numpy as np
import pytest
import torch
from torch import nn

from genbench.data import Dataset, DataSpec, Split
from genbench.data.device import DeviceSplit
from genbench.errors import GenbenchError
from genbench.model import GradientConfig, GradientModel, Model, ModelConfig
from genbench.plan.budget import Budget
from genbench.runner import loop
from genbench.runner.loop import FRACTIONS, Diverged, train

CPU = torch.device("cpu")
SPEC = DataSpec((2,), "continuous")


def splits(n=64):
    rng = np.random.default_rng(0)
    parts = [Split(rng.normal(size=(n, 2)).astype(np.float32)) for _ in range(3)]
    dataset = Dataset("noise", SPEC, *parts, family="noise")
    return DeviceSplit(dataset, "train", CPU), DeviceSplit(dataset, "validation", CPU)


class Counter(Model):
    """Counts its updates; its validation loss is a function of the count."""

    def __init__(self, batch_size=16, objective=None, until=math.inf, fails_at=math.inf):
        super().__init__(SPEC, ModelConfig())
        self.batch_size = batch_size
        self.count = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.objective = objective
        self.until = until
        self.fails_at = fails_at
        self.seen = []
        self.progress = []
        self.setup_batch = None
        self.finished = []

    def setup(self, batch):
        self.setup_batch = batch.x

    def update(self, batch, progress):
        self.count += 1
        self.seen.append(batch.x)
        self.progress.append(progress)
        self.done = bool(self.count >= self.until)
        return {"loss": torch.tensor(float("nan")) if self.count >= self.fails_at else self.count.detach().clone()}

    def finish(self, batch):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.finished.append((float(self.count), len(batch.x)))

    def validation_loss(self, batch):
        return None if self.objective is None else torch.tensor(self.objective(float(self.count)))


def run(model, budget="100steps", **changes):
    data, validation = splits()
    curve, events = [], []
    options = {"seed": 0, "precision": "fp32", "select": "best", "quick": lambda _: {}} | changes
    trained = train(model, data, validation, Budget.parse(budget), emit=events.append, keep=curve.append, **options)
    return trained, curve, events


def test_the_curve_has_a_point_at_every_fraction_of_the_budget():
    trained, curve, events = run(Counter(), "1000steps")
    assert [point.steps for point in curve] == [math.ceil(1000 * fraction) for fraction in FRACTIONS]
    assert trained.curve == curve
    assert trained.clock.steps == 1000
    assert events[-1]["fraction"] == 1.0
    assert events[-1]["scalars"] == {"loss": 1000.0}


def test_progress_goes_from_zero_to_one():
    model = Counter()
    run(model, "100steps")
    assert model.progress == pytest.approx(np.arange(100) / 100)


def test_the_weights_of_the_best_validation_objective_are_scored():
    model = Counter(objective=lambda count: (count - 30) ** 2)
    trained, curve, _ = run(model)
    best = min(curve, key=lambda point: point.objective)
    assert trained.selected == {"rule": "best", "fraction": best.fraction, "steps": 30, "objective": 0.0}
    assert model.count == 30
    assert not model.training


@pytest.mark.parametrize(("objective", "select"), [(None, "best"), (lambda count: count, "last")])
def test_without_an_objective_or_on_demand_the_last_weights_are_scored(objective, select):
    model = Counter(objective=objective)
    trained, _, _ = run(model, select=select)
    assert trained.selected["rule"] == "last"
    assert model.count == 100


def test_a_model_that_says_it_is_done_stops_the_clock():
    model = Counter(batch_size=None, until=1)
    trained, curve, _ = run(model, "60s")
    assert trained.clock.steps == 1
    assert len(curve) == 1
    assert len(model.seen[0]) == 64
    assert trained.clock.seconds < 1


def test_warm_up_changes_neither_the_model_nor_its_random_numbers():
    model = Counter()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    run(model, "1steps", quick=lambda _: {"drawn": float(torch.rand(()))})
    assert model.count == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loss_that_is_not_finite_is_divergence_and_keeps_the_curve():
    model = Counter(fails_at=50)
    data, validation = splits()
    curve = []
    with pytest.raises(Diverged, match="loss is nan"):
        train(
            model,
            data,
            validation,
            Budget(steps=100),
            seed=0,
            precision="fp32",
            select="best",
            emit=lambda event: None,
            quick=lambda _: {},
            keep=curve.append,
        )
    assert [point.steps for point in curve] == [math.ceil(100 * fraction) for fraction in FRACTIONS if fraction < 0.5]


def test_the_order_of_the_data_depends_on_the_seed_alone():
    models = [Counter() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        torch.rand(int(torch.randint(1, 9, ())))  # whatever was drawn before
        run(model, "8steps", seed=seed)
    first, same, other = (torch.stack(model.seen) for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    epoch = first[:4].reshape(64, 2)
    assert torch.equal(epoch.sort(0).values, splits()[0].x().sort(0).values)


def test_a_budget_in_flops_needs_a_model_whose_flops_can_be_counted():
    with pytest.raises(GenbenchError, match="flops can't be counted"):
        run(Counter(), "1e6flop")


def test_flops_are_counted_on_one_step():
    class Linear(Counter):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 3, bias=False)

        def update(self, batch, progress):
            self.layer(batch.x)
            return super().update(batch, progress)

    trained, _, _ = run(Linear(), "1920flop")
    assert trained.flops_per_image == 2 * 2 * 3  # a multiplication and an addition for each weight
    assert trained.clock.steps == 10


def test_what_is_fitted_after_training_is_fitted_to_the_weights_that_are_scored():
    model = Counter(objective=lambda count: (count - 30) ** 2)
    trained, curve, _ = run(model)
    assert model.finished[:-1] == [(point.steps, 64) for point in curve]
    assert model.finished[-1] == (trained.selected["steps"], 64)


def test_what_is_measured_on_the_curve_is_measured_after_the_fit():
    seen = []
    run(Counter(), quick=lambda model: seen.append(len(model.finished)) or {})
    assert seen == list(range(1, len(seen) + 1))


class TextPart(enum.StrEnum):
    ONE = "one"


class Returning(Counter):
    """Returns something else."""

    def __init__(self, scalars, objective=None):
        super().__init__()
        self.scalars = scalars
        self.returned = objective

    def update(self, batch, progress):
        super().update(batch, progress)
        return self.scalars

    def validation_loss(self, batch):
        return self.returned


def test_only_the_loss_is_watched_and_only_numbers_are_shown(capsys):
    odd = {"loss": torch.tensor(1.0), "vector": torch.zeros(3), "nan": float("nan"), "huge": 1e200, "four": 4.0}
    _, curve, events = run(Returning(odd))
    shown = {"loss": 1.0, "four": 4.0}
    assert all(point.scalars == shown for point in curve)
    assert all(event["scalars"] == shown for event in events)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"neither shown nor recorded: the scalar '{name}', which is no finite number"
        for name in ("vector", "nan", "huge")
    ]


@pytest.mark.parametrize("name", [3, Counter, TextPart.ONE, "\udcff", "two\nlines", "\x1b[31mred"])
def test_names_of_scalars_are_plain_text(name):
    with pytest.raises(GenbenchError, match=r"returned a scalar named by .*; names must be plain text"):
        run(Returning({"loss": torch.tensor(1.0), name: 2.0}))


@pytest.mark.parametrize(
    ("scalars", "found"), [(torch.zeros(()), "a Tensor"), (None, "None"), ([("loss", 1.0)], "a list")]
)
def test_an_update_that_returns_no_dict_names_the_contract(scalars, found):
    with pytest.raises(GenbenchError, match=f"`update` returned {found}; it must return a dict of scalars"):
        run(Returning(scalars))


@pytest.mark.parametrize("objective", [np.float64(0.5), 0.5, torch.tensor([0.5]), -1e30])
def test_any_number_is_a_validation_objective(objective):
    _, curve, _ = run(Returning({}, objective))
    assert {point.objective for point in curve} == {float(objective)}


def test_a_validation_objective_that_is_no_number_names_the_contract():
    with pytest.raises(GenbenchError, match="`validation_loss` returned a Tensor; it must return one number or None"):
        run(Returning({}, torch.zeros(3)))


def test_a_state_that_the_model_can_not_tell_costs_the_state(capsys, monkeypatch):
    class Silent(Counter):
        def training_state(self):
            raise RuntimeError("no state today")

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    states = []
    run(Silent(), save=states.append)
    assert states == []
    assert capsys.readouterr().out == "no state is saved: training_state: RuntimeError: no state today\n"


def test_the_best_weights_are_kept_whatever_kinds_of_tensors_there_are():
    class Odd(Counter):
        def __init__(self):
            super().__init__(objective=lambda count: (count - 30) ** 2)
            self.lazy = nn.LazyLinear(3)
            self.register_buffer("sparse", torch.eye(3).to_sparse())
            self.register_buffer("expanded", torch.zeros(1).expand(5))

        def get_extra_state(self):
            return {"text": "x"}

        def set_extra_state(self, state):
            assert state == {"text": "x"}

    model = Odd()
    run(model)
    assert model.count == 30


class Gradient(GradientModel):
    def __init__(self, returned):
        super().__init__(SPEC, GradientConfig())
        self.weight = nn.Parameter(torch.ones(2))
        self.returned = returned

    def loss(self, batch, progress):
        return self.returned(self.weight.square().mean())


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda loss: loss, '`loss` returned a Tensor; it must return a dict with "loss"'),
        (lambda loss: None, '`loss` returned None; it must return a dict with "loss"'),
        (lambda loss: {"total": loss}, '`loss` returned a dict without "loss"; it must return a dict with "loss"'),
        (lambda loss: {"loss": 0.5}, '`loss` returned a float as "loss"; it must be a tensor'),
    ],
)
def test_a_loss_that_breaks_its_contract_is_told_it(returned, message):
    with pytest.raises(GenbenchError) as raised:
        run(Gradient(returned))
    assert str(raised.value) == message


def test_scalars_beside_the_loss_may_be_any_numbers():
    _, curve, _ = run(Gradient(lambda loss: {"loss": loss, "python": 2.0, "numpy": np.float32(3.0)}))
    assert curve[0].scalars.keys() == {"loss", "python", "numpy"}
    assert (curve[0].scalars["python"], curve[0].scalars["numpy"]) == (2.0, 3.0)
