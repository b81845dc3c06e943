"""The record: what one run leaves, as one JSON document, versioned by `schema` and validated on reading."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from genbench.plain import LARGEST

Status = Literal["ok", "failed", "diverged", "timeout", "out_of_memory", "killed"]
#: A run's key names its folder, so nothing but hex digits may pass.
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
#: What tables for other programs can hold as a whole number.
Count = Annotated[int, Field(ge=-(2**63), lt=2**63)]
#: What tables and their columns are told apart by: one line that shows all there is of it, so that no two look alike.
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$")]
#: Base64, of 100 groups at most; see `genbench.results.points`.
Points = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=160)]
#: Artifacts lie in the run's own folder: a plain file name, never a path.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.[a-z0-9]+$")]


class Part(BaseModel):
    """A part of a record. Unknown fields are refused: they would be somebody else's format."""

    model_config = ConfigDict(frozen=True, extra="forbid")


#: Of the dataclasses below. They have slots, since a record has many of them: a folder of 20,000 half a million.
SMALL = ConfigDict(extra="forbid")


class Spec(Part):
    """What was run.

    Attributes:
        model: the model's name, or that of a reference row.
        label: the model reference with the options that differ from their defaults, e.g. `vae[latent_dim=2]`.
        config: every option of the model with its value.
        data: the dataset reference, e.g. `mnist[binarize=dynamic]`.
    """

    model: str
    family: str
    label: str
    config: dict[str, Any]
    dataset: str
    data: str
    dataset_config: dict[str, Any]
    view: dict[str, Any]
    budget: str
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    precision: str
    device: str
    select: Literal["best", "last"]
    metrics: dict[str, dict[str, Any]]
    compile: bool = False


@dataclass(config=SMALL, frozen=True, slots=True, kw_only=True)
class Value:
    """One measured number; see `genbench.metrics.Measurement`.

    Attributes:
        metric: the metric that it answers, e.g. `likelihood` for `bits_per_dim`.
        protocol: hash of all that must agree before two values may be compared.
        points: the pseudo-values over groups of test points, as `genbench.results.points.packed` writes them; empty
            where there are none.
    """

    name: Line
    metric: Line
    value: Finite
    stderr: Annotated[float, Field(allow_inf_nan=False, ge=0, le=LARGEST)] | None
    kind: Literal["exact", "lower_bound", "upper_bound", "estimate"]
    better: Literal["higher", "lower", "neither"]
    unit: Line
    protocol: Line
    settings: dict[str, Any]
    interval: tuple[Finite, Finite] | None = None
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    points: Points = ""


class Unmeasured(Part):
    """A metric that gave no number, with the reason; `names` are the columns that stay empty."""

    metric: Line
    names: list[Line]
    status: Literal["failed", "not_applicable"]
    reason: str


@dataclass(config=SMALL, frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The model at one fraction of its budget, measured off the clock on the validation split.

    Attributes:
        objective: the model's own training objective on held-out data, by which weights are selected.
        scalars: what `update` returned last.
        metrics: quick versions of the metrics, by column name.
    """

    fraction: Finite
    seconds: Finite
    steps: Count
    samples: Count
    objective: Finite | None = None
    scalars: dict[str, Finite] = field(default_factory=dict)
    metrics: dict[Line, Finite] = field(default_factory=dict)


class Amount(Part):
    """A budget, or what was used of it; None where it is not limited or not known."""

    seconds: Finite | None = None
    steps: Count | None = None
    epochs: Finite | None = None
    flops: Finite | None = None
    samples: Count | None = None
    memory_bytes: Count | None = None


class BudgetUse(Part):
    """The budget allowed and used."""

    allowed: Amount
    used: Amount


class Failure(Part):
    """Why a run is not ok.

    Attributes:
        phase: what was going on: `"setup"`, `"training"` or `"evaluation"`.
        signal, exit_code: how the process ended, where it did not live to say more.
        memory_bytes: the process's resident memory when last heard of.
    """

    phase: str
    type: str
    message: str
    traceback: str = ""
    signal: str | None = None
    exit_code: Count | None = None
    memory_bytes: Count | None = None
    log_tail: str = ""


class Record(Part):
    """What a run leaves.

    Attributes:
        schema: 2; what was written as 1 says less of itself, and can't be checked against itself.
        checksum: see `genbench.results.consistency`.
        protocol: all that must agree before any numbers may be compared: dataset and fingerprint, view, budget and,
            where that is in seconds, the hardware. `protocol_hash` is its hash.
        metric_protocols: what must agree beside it before two numbers of a metric may be compared: the metric's options
            and version, the feature extractor; by the metric.
        selected: which weights were scored: `{"rule": "best" or "last", "fraction": …, "steps": …}`.
        artifacts: what lies beside the record, by purpose (`checkpoint`, `samples`, …).
        timing: seconds of `setup`, `training`, `curve` and `evaluation`; of training, as far as it is known,
            `cpu_seconds` of all threads, the `share` of its time that the run really had, in [0, 1], with what it lost
            (`waited_seconds`, `steal_seconds`, `stopped_seconds`), `gpu_utilisation` in [0, 1] and `energy_joules`.
        metric_seconds: of `evaluation`, the seconds that each metric took, by its name; what several metrics use is
            made by the first that needs it.
        provenance: where the run comes from; also `unsaved`, why an artifact is missing, by purpose, and `left_out`,
            the fields with content that no record can hold.
    """

    schema_: Literal[1, 2] = Field(default=2, alias="schema")
    key: Key
    status: Status
    spec: Spec
    protocol: dict[str, Any]
    protocol_hash: Line
    checksum: Line = ""
    metric_protocols: dict[str, dict[str, Any]] = {}
    capabilities: list[str] = []
    budget: BudgetUse
    selected: dict[str, Any] = {}
    metrics: list[Value] = []
    unmeasured: list[Unmeasured] = []
    curve: list[CurvePoint] = []
    artifacts: dict[str, FileName] = {}
    timing: dict[str, Finite | Count] = {}
    metric_seconds: dict[Line, Finite] = {}
    provenance: dict[str, Any] = {}
    error: Failure | None = None
