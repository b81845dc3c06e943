"""An output folder of very many records, made of the published ones: for tests and benchmarks of the size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench.results.schema import Record, Value
from genbench.results.store import Store

PUBLISHED = Path(__file__).parents[2] / "results" / "reference" / "digits"
MODELS, DATASETS = 20, 10
#: The relative spread of numbers over seeds.
SPREAD = 0.02


def many_records(count: int) -> Iterator[Record]:
    """This many records of `MODELS` models on each of `DATASETS` datasets, in as many seeds as that takes, with keys
    and numbers of their own. Every dataset has a protocol of its own, and a budget that is not spent on the others."""
    published, skipped = Store(PUBLISHED).read_all()
    assert not skipped
    templates = [record for record in published if record.spec.family != "reference" and record.spec.seed == 0]
    noise = np.random.default_rng(0)
    for index in range(count):
        seed, (dataset, model) = index // (DATASETS * MODELS), divmod(index % (DATASETS * MODELS), MODELS)
        yield _variant(templates[model % len(templates)], model, dataset, seed, noise)


def write_many(out: Path, count: int) -> Path:
    """Make `out` an output folder of `many_records(count)`, as a campaign would leave it but for the artifacts."""
    store = Store(out)
    for record in many_records(count):
        store.folder(record.key).mkdir(parents=True)
        store.path(record.key).write_text(record.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    return out


def _variant(record: Record, model: int, dataset: int, seed: int, noise: np.random.Generator) -> Record:
    data = f"digits[part={dataset}]"
    name = f"{record.spec.model}-{model}"
    protocol_hash = _hash(data)[:12]
    return record.model_copy(
        update={
            "key": _hash(f"{name} {data} {seed}")[:16],
            "spec": record.spec.model_copy(update={"model": name, "label": name, "data": data, "seed": seed}),
            "protocol": record.protocol | {"dataset_config": {"part": dataset}, "fingerprint": _hash(data)[:16]},
            "protocol_hash": protocol_hash,
            "metrics": [_another(value, protocol_hash, noise) for value in record.metrics],
            "curve": [
                replace(
                    point,
                    seconds=_shaken(point.seconds, noise),
                    scalars={name: _shaken(value, noise) for name, value in point.scalars.items()},
                    metrics={name: _shaken(value, noise) for name, value in point.metrics.items()},
                )
                for point in record.curve
            ],
            "artifacts": {},
            "provenance": record.provenance | {"seed": seed},
        }
    )


def _another(value: Value, protocol: str, noise: np.random.Generator) -> Value:
    return replace(value, value=_shaken(value.value, noise), protocol=protocol)


def _shaken(number: float, noise: np.random.Generator) -> float:
    return float(number * (1 + SPREAD * noise.standard_normal()))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
