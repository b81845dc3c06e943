"""A dataset plugin is under guard: whatever is wrong with it is one line, and the other datasets go on."""

import sys
from pathlib import Path

import numpy as np
import pytest

from genbench.data import Dataset, DatasetSource, DataSpec, Options, Split, ViewOptions
from genbench.data.loading import load
from genbench.errors import GenbenchError, UsageError
from genbench.plan.exchange import Wanted
from genbench.plan.prepare import prepare
from genbench.plan.references import Reference
from genbench.runner.subject import load_dataset

GOOD = Split(np.arange(24).reshape(6, 4).astype(np.uint8))


def dataset(**changes: object) -> Dataset:
    fields = {"train": GOOD, "validation": GOOD, "test": GOOD, "spec": DataSpec((4,), "discrete", 256)} | changes
    return Dataset("mine", family="none", **fields)  # type: ignore[arg-type]


class Good(DatasetSource):
    def load(self) -> Dataset:
        return dataset(found="6 rows")


class Raises(DatasetSource):
    def load(self) -> Dataset:
        raise KeyError("column\nx")


class RaisesDeep(DatasetSource):
    def load(self) -> Dataset:
        np.zeros(2).reshape(3)
        return dataset()


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class RaisesWordless(DatasetSource):
    def load(self) -> Dataset:
        raise Wordless


class Exits(DatasetSource):
    def load(self) -> Dataset:
        sys.exit("no data today")


class Constructor(DatasetSource):
    def __init__(self, config: Options, cache: Path) -> None:
        raise OSError("no space")

    def load(self) -> Dataset:
        return dataset()


class Returns(DatasetSource):
    def load(self) -> Dataset:
        return {"train": GOOD}  # type: ignore[return-value]


class Floats(DatasetSource):
    def load(self) -> Dataset:
        return dataset(test=Split(np.full((6, 4), 0.5)))


class Abstract(DatasetSource):
    pass


class Missing(DatasetSource):
    def load(self) -> Dataset:
        raise UsageError("path=nowhere is no folder")


class NoConfig(DatasetSource):
    Config = 3  # type: ignore[assignment]

    def load(self) -> Dataset:
        return dataset()


ODD = {
    Raises: r"KeyError: 'column\nx' (line ",
    RaisesDeep: "ValueError: cannot reshape array of size 2 into shape (3,) (line ",
    RaisesWordless: "Wordless: <Wordless without text> (line ",
    Exits: "SystemExit: no data today (line ",
    Constructor: "OSError: no space (line ",
    Returns: "load returns a dict; it should return a genbench.data.Dataset",
    Floats: "test is float64 from 0.5 to 0.5, discrete data is uint8; convert it",
    Abstract: "TypeError: Can't instantiate abstract class Abstract",
    Missing: "path=nowhere is no folder",
}


@pytest.mark.parametrize(("source", "message"), ODD.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_wrong_with_a_dataset_is_one_line(source: type[DatasetSource], message: str) -> None:
    with pytest.raises(GenbenchError) as error:
        load("mine[x=1]", source, Options(), ViewOptions())
    assert str(error.value).startswith(f"dataset 'mine[x=1]': {message}")
    assert "\n" not in str(error.value)
    assert isinstance(error.value, UsageError) == (source is Missing)
    if "(line " in message:
        assert str(error.value).endswith(f" of {__file__})")


def test_a_run_s_process_has_the_same_guard() -> None:
    with pytest.raises(GenbenchError, match=r"^dataset 'mine': SystemExit: no data today"):
        load_dataset("mine", f"{__name__}:Exits", {}, {})


def wanted(*names: str, **options: str) -> Wanted:
    return Wanted([], [(Reference(name, options), f"{__name__}:{name}") for name in names], [], "cpu")


def test_the_other_datasets_go_on() -> None:
    prepared = prepare(wanted("Good", *(source.__name__ for source in ODD), "NoConfig", "Nowhere"))
    assert [(p.label, p.found) for p in prepared.datasets] == [("Good", "6 rows; 6 train, 6 validation, 6 test")]
    reasons = {missing.data: missing.reason for missing in prepared.missing}
    assert list(reasons) == [*(source.__name__ for source in ODD), "NoConfig", "Nowhere"]
    assert "its Config is a int; it should be a subclass of genbench.options.Options" in reasons["NoConfig"]
    assert reasons["Nowhere"].startswith(f"dataset 'Nowhere': can't import {__name__}:Nowhere: AttributeError")
    assert [missing.data for missing in prepared.missing if missing.usage] == ["Missing"]


class OwnBase(BaseException):
    pass


class RaisesOwnBase(DatasetSource):
    def load(self) -> Dataset:
        raise OwnBase("mine")


def test_an_exception_that_is_no_error_is_the_dataset_s_too() -> None:
    (missing,) = prepare(wanted("RaisesOwnBase")).missing
    assert missing.reason.startswith("dataset 'RaisesOwnBase': OwnBase: mine (line ")


def test_a_misspelt_option_is_bad_usage_and_nothing_goes_on() -> None:
    with pytest.raises(UsageError, match="dataset 'Good': unknown option 'binarise': did you mean binarize"):
        prepare(wanted("Good", binarise="static"))


def test_a_view_that_a_dataset_has_nothing_for_leaves_it_out() -> None:
    prepared = prepare(wanted("Good", holdout="3"))
    assert [(missing.data, missing.usage) for missing in prepared.missing] == [("Good[holdout=3]", True)]
