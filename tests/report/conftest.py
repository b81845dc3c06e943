from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genbench.results.schema import Amount, BudgetUse, CurvePoint, Failure, Record, Spec, Unmeasured, Value
from genbench.results.store import Store

METRICS = {"likelihood": {}, "fid": {}, "kid": {}, "reconstruction": {}, "separation": {}, "throughput": {}}
#: metric, kind, better, unit
COLUMNS = {
    "bits_per_dim": ("likelihood", "upper_bound", "lower", "bits/dim"),
    "log_likelihood": ("likelihood", "lower_bound", "higher", "nats"),
    "elbo": ("likelihood", "lower_bound", "higher", "nats"),
    "ais_bits_per_dim": ("ais", "upper_bound", "lower", "bits/dim"),
    "ais_log_likelihood": ("ais", "lower_bound", "higher", "nats"),
    "ais_log_likelihood_upper": ("ais", "upper_bound", "higher", "nats"),
    "fid": ("fid", "estimate", "lower", ""),
    "kid": ("kid", "estimate", "lower", ""),
    "reconstruction_mse": ("reconstruction", "exact", "lower", ""),
    "knn_accuracy": ("separation", "estimate", "higher", ""),
    "knn_vs_pca": ("separation", "estimate", "higher", ""),
    "probe_accuracy": ("separation", "estimate", "higher", ""),
    "probe_vs_pca": ("separation", "estimate", "higher", ""),
    "train_images_per_s": ("throughput", "estimate", "higher", "images/s"),
    "sample_images_per_s": ("throughput", "estimate", "higher", "images/s"),
    "parameters": ("throughput", "exact", "neither", ""),
    "moons": ("moons", "estimate", "higher", "cheese"),
}


def value(
    name: str,
    number: float,
    *,
    kind: str | None = None,
    stderr: float | None = None,
    protocol: str = "p",
    interval: tuple[float, float] | None = None,
    flags: tuple[str, ...] = (),
    **settings: object,
) -> Value:
    metric, usual, better, unit = COLUMNS[name]
    if metric == "separation":
        settings = {"dimension": 8} | settings
    return Value(
        **{
            "name": name,
            "metric": metric,
            "value": number,
            "stderr": stderr,
            "kind": kind or usual,
            "better": better,
            "unit": unit,
            "protocol": protocol,
            "settings": settings,
            "interval": interval,
            "flags": flags,
        }
    )


def gap(metric: str, status: str, reason: str, *names: str) -> Unmeasured:
    return Unmeasured.model_validate({"metric": metric, "names": list(names), "status": status, "reason": reason})


def make_record(
    label: str,
    numbers: dict[str, float] | list[Value] | None = None,
    *,
    seed: int = 0,
    family: str = "vae",
    status: str = "ok",
    budget: str = "30s",
    data: str = "digits",
    unmeasured: list[Unmeasured] | None = None,
    curve: list[float] | None = None,
    artifacts: dict[str, str] | None = None,
    error: Failure | None = None,
    plugin: str = "1.0",
    timing: dict[str, float] | None = None,
) -> Record:
    model = label.partition("[")[0]
    values = [value(*item) for item in numbers.items()] if isinstance(numbers, dict) else numbers or []
    protocol = {
        "dataset": data.partition("[")[0],
        "fingerprint": hashlib.sha256(data.encode()).hexdigest(),
        "view": {},
        "budget": budget,
        "precision": "fp32",
        "select": "best",
        "hardware": {"cpu": "Some CPU @ 2 GHz", "threads": 2},
        "versions": {"genbench": "0.1.0", "torch": "2.15.0"},
        "metrics": METRICS,
    }
    fractions = np.geomspace(0.01, 1, len(curve)) if curve else []
    return Record.model_validate(
        {
            "schema": 1,
            "key": hashlib.sha256(f"{label} {seed} {data} {budget} {plugin}".encode()).hexdigest()[:16],
            "status": status,
            "spec": Spec(
                model=model,
                family=family,
                label=label,
                config={},
                dataset=data.partition("[")[0],
                data=data,
                dataset_config={},
                view={},
                budget=budget,
                seed=seed,
                precision="fp32",
                device="cpu",
                select="best",
                metrics=METRICS,
            ),
            "protocol": protocol,
            "protocol_hash": hashlib.sha256(f"{data} {budget}".encode()).hexdigest()[:12],
            "budget": BudgetUse(allowed=Amount(seconds=30), used=Amount(seconds=30.02, steps=5210)),
            "selected": {"rule": "best", "fraction": 1.0},
            "metrics": values,
            "unmeasured": unmeasured or [],
            "curve": [
                CurvePoint(fraction=f, seconds=30 * f, steps=int(5000 * f), samples=0, metrics={"bits_per_dim": bits})
                for f, bits in zip(fractions, curve or [], strict=True)
            ],
            "artifacts": artifacts or {},
            "timing": {"setup": 0.4, "evaluation": 5.1} | (timing or {}),
            "provenance": {
                "command": ["genbench", "run", "--models", "vae"],
                "git": {"revision": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
                "plugin": {"distribution": "genbench", "version": plugin},
                "seed": seed,
            },
            "error": error,
        }
    )


NASTY = "<script>alert('x')</script>|$a_1$&\\`[b](c)"


def comparison() -> list[Record]:
    """Two protocols; several seeds; failures of runs and of metrics; a label meant to break every format."""
    pictures = {"samples": "samples.png", "reconstructions": "reconstructions.png", "codes": "codes.npz"}
    no_density = gap("likelihood", "not_applicable", "it has no density", "bits_per_dim", "log_likelihood", "elbo")
    no_codes = gap("separation", "not_applicable", "it has no codes", "knn_accuracy", "knn_vs_pca")
    records = [
        make_record(
            "vae[latent_dim=16]",
            {
                "bits_per_dim": bits,
                "log_likelihood": -44.36 * bits,
                "elbo": -45 * bits,
                "fid": fid,
                "kid": fid / 1000,
                "reconstruction_mse": 0.0123,
                "knn_accuracy": 0.95,
                "knn_vs_pca": 0.02,
                "probe_accuracy": 0.9,
                "probe_vs_pca": -0.01,
                "train_images_per_s": 41234.0,
                "sample_images_per_s": 152345.0,
                "parameters": 1234567.0,
                "moons": 3.0,
            },
            seed=seed,
            curve=[30.0, 4.1, 3.0, 2.4, 2.2, bits],
            artifacts=pictures,
        )
        for seed, bits, fid in ((0, 2.02, 21.0), (1, 2.05, 23.5), (2, 2.01, 22.0))
    ]
    records += [
        make_record(
            "realnvp",
            [
                value("bits_per_dim", 2.11, stderr=0.03),
                value("log_likelihood", -93.6, stderr=1.3),
                value("fid", 30.25),
                value("knn_accuracy", 0.96, stderr=0.01),
                value("knn_vs_pca", 0.01, stderr=0.01),
                value("train_images_per_s", 9123.0),
                value("sample_images_per_s", 20111.0),
                value("parameters", 345678.0),
            ],
            family="flow",
            curve=[3.9, 3.1, 2.7, 2.4, 2.2, 2.12],
            unmeasured=[gap("reconstruction", "failed", "RuntimeError: shapes don't match", "reconstruction_mse")],
            artifacts=pictures,
        ),
        make_record(
            "independent",
            [
                value("bits_per_dim", 2.42, kind="exact", stderr=0.02),
                value("fid", 210.0),
                value("sample_images_per_s", 1e6),
            ],
            family="ae",
            curve=[2.42],
            unmeasured=[no_codes],
            artifacts={"samples": "samples.png"},
        ),
        make_record("ae", {"reconstruction_mse": 0.0099, "knn_accuracy": 0.9}, family="ae", unmeasured=[no_density]),
        make_record(
            "dcgan",
            family="gan",
            status="diverged",
            curve=[5.0, 6.0],
            error=Failure(
                phase="training",
                type="Diverged",
                message="the loss is nan at step 312",
                traceback="Traceback (most recent call last):\n  <b>bold</b>",
                log_tail="step 311\n\x1b[31mstep 312: nan\x1b[0m <img src=x onerror=alert(1)>",
            ),
        ),
        make_record(NASTY, {"bits_per_dim": 3.5, "fid": 99.0, "sample_images_per_s": 17.0}, family="third"),
        make_record(
            "real (test split)", {"fid": 0.35, "kid": 0.0}, family="reference", artifacts={"samples": "samples.png"}
        ),
        make_record("noise", {"fid": 5123.4, "kid": 0.7}, family="reference"),
        make_record("vae[latent_dim=16]", {"bits_per_dim": 2.4}, budget="5s"),
        make_record("vae[latent_dim=2]", {"bits_per_dim": 2.6}, budget="5s"),
    ]
    return records


def _picture(kind: int) -> bytes:
    shade = np.random.default_rng(kind).integers(0, 255, (4, 6, 8, 8), dtype=np.uint8)
    image = Image.fromarray(shade.transpose(0, 2, 1, 3).reshape(32, 48)).resize((480, 320), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def number() -> Callable[..., Value]:
    return value


@pytest.fixture
def missing() -> Callable[..., Unmeasured]:
    return gap


@pytest.fixture
def nasty() -> str:
    return NASTY


@pytest.fixture(scope="session")
def records() -> list[Record]:
    return comparison()


@pytest.fixture(scope="session")
def fill_folder() -> Callable[[Path, list[Record]], Path]:
    return fill


def fill(out: Path, records: list[Record]) -> Path:
    """Make `out` an output folder of these records with what their runs left."""
    store = Store(out)
    for record in records:
        workspace = store.workspace(record.key)
        workspace.mkdir(parents=True)
        for purpose, name in record.artifacts.items():
            path = workspace / name
            if purpose == "codes":
                y = np.arange(300) % 10
                noise = np.random.default_rng(0).normal(size=(2, 300, 2))
                plane = np.stack([np.cos(y), np.sin(y)], 1) * 4
                np.savez_compressed(
                    path,
                    code_2d=plane + noise[0],
                    pca_2d=plane + 2 * noise[1],
                    y=y,
                    knn_accuracy=0.95,
                    pca_knn_accuracy=0.9,
                )
            else:
                path.write_bytes(_picture(len(purpose)))
        store.publish(record)
    return out
