"""What the user asks for: the flags of `genbench run`, or a TOML file with the same names."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, InstanceOf, ValidationError, field_validator

from genbench.errors import UsageError, unknown
from genbench.options import Options
from genbench.plan.references import Reference
from genbench.plan.spec import Precision, Select

#: What is asked for by name: text that is parsed, or a reference that was parsed, or read from a record, before.
Asked = str | InstanceOf[Reference]

#: Runs of a plan, and so seeds too, at most.
MOST_RUNS = 100_000
#: Seeds at most: what a table of whole numbers has room for.
LARGEST_SEED = 2**63 - 1
#: Where the suites lie that the package ships.
SUITES = Path(__file__).parent / "suites"


class Suite(Options):
    """Models × datasets × seeds under one budget. References are as in `genbench.plan.references`."""

    models: tuple[Asked, ...] = Field(description="model references, e.g. vae[latent_dim=2|8]")
    datasets: tuple[Asked, ...] = Field(("digits",), description="dataset references, e.g. mnist[binarize=dynamic]")
    budget: str = Field("30s", description="what each run may spend on training")
    seeds: tuple[int, ...] = Field((0,), description="a number of seeds, or the seeds themselves")
    metrics: tuple[Asked, ...] = Field((), description="metric references; none, or `default`, for the default ones")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$",
        description="auto, cpu, cuda (all GPUs, one for each run) or cuda:N",
    )
    precision: Precision = Field("fp32", description="arithmetic of training")
    compile: bool = Field(False, description="whether training steps are compiled, off the clock")
    select: Select = Field("best", description="which weights are scored: best validation objective, or the last")
    out: Path = Field(Path("results"), description="the output folder")

    @field_validator("models", "datasets", "metrics", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_or_list(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return _first(value, f"[{value}]")
        return value

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) != len(value) or min(value) < 0 or max(value) > LARGEST_SEED:
            raise ValueError(f"seeds must be distinct numbers from 0 to {LARGEST_SEED}, at least one")
        if len(value) > MOST_RUNS:
            raise ValueError(f"these are {len(value):,} seeds, and a plan has at most {MOST_RUNS:,} runs")
        return value


def make_suite(values: dict[str, Any], where: str) -> Suite:
    """A suite of these values.

    Raises:
        UsageError: one is unknown, missing or refused; `where` says where they come from.
    """
    for name in values:
        if name not in Suite.model_fields:
            raise UsageError(f"{where}: {unknown('key', name, Suite.model_fields)}")
    if not values.get("models"):
        raise UsageError("no models: name some, e.g. --models vae,realnvp (see genbench models)")
    return validated(values, where)


def validated(values: dict[str, Any], where: str) -> Suite:
    """A suite of these values, all of which are its own; without models it means the reference rows alone.

    Raises:
        UsageError: one is refused; `where` says where they come from.
    """
    try:
        return Suite.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ").lower()
        raise UsageError(f"{where}: {name}: {message}") from None


def named_suites() -> dict[str, Path]:
    """The suites that the package ships, by name."""
    return {path.stem: path for path in sorted(SUITES.glob("*.toml"))}


def find_suite(name: str) -> Path:
    """The file of a suite: a path, or the name of one that the package ships.

    Raises:
        UsageError: it is neither a file nor such a name; the message has the nearest, of names and files beside it.
    """
    shipped = named_suites()
    if name in shipped:
        return shipped[name]
    path = Path(name)
    if path.exists():
        return path
    valid = {each: each for each in shipped} | {other.stem: str(other) for other in path.parent.glob("*.toml")}
    near = difflib.get_close_matches(path.stem, valid, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(valid[each] for each in near)}?" if near else f"choose from {', '.join(shipped)}"
    raise UsageError(f"unknown suite '{name}': {'' if near else 'there is no such file; '}{hint}")


def read_suite(path: Path) -> dict[str, Any]:
    """The values in a suite file.

    Raises:
        UsageError: it can't be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"can't read the suite {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML file: {error}") from None


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` is three seeds, 0 to 2; `0,7` are these two; `7,` is this one.

    Raises:
        UsageError: it is neither, or means more seeds than a plan can have.
    """
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UsageError(f"malformed seeds '{text}': write a number of seeds (3) or a list of them (0,7)") from None
    try:
        return tuple(numbers) if "," in text and numbers else _first(numbers[0] if numbers else 0, f"{text.strip()},")
    except ValueError as error:
        raise UsageError(f"malformed seeds '{text}': {error}") from None


def _first(count: int, alone: str) -> tuple[int, ...]:
    """The first `count` seeds.

    Args:
        count: how many.
        alone: how the one seed of that number is written.

    Raises:
        ValueError: there are none, or more than a plan has runs.
    """
    if count < 1:
        raise ValueError("there must be at least one seed")
    if count > MOST_RUNS:
        remedy = f"; the one seed is written {alone}" if count <= LARGEST_SEED else ""
        raise ValueError(f"this means {count:,} seeds, and a plan has at most {MOST_RUNS:,} runs{remedy}")
    return tuple(range(count))
