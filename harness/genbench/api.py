"""genbench from Python: `genbench.run`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def run(
    models: str | Sequence[str],
    datasets: str | Sequence[str] = ("digits",),
    budget: str = "30s",
    seeds: int | Sequence[int] = 1,
    metrics: str | Sequence[str] = (),
    *,
    device: str = "auto",
    precision: str = "fp32",
    compile: bool = False,
    select: str = "best",
    out: str | Path = "results",
    force: bool = False,
    resume: bool = True,
    retry: str = "failed",
    jobs: int | None = None,
    evaluation_limit: str = "1h",
    plugins: Sequence[str] = (),
    track: str | Sequence[str] = (),
    executor: str = "local",
    address: str | None = None,
) -> pd.DataFrame:
    """Do what `genbench run` does with flags of the same names; returns the numbers as a frame.

    A dataset that can't be had is named on standard error and left out.

    Args:
        models: references, e.g. `["vae", "vae[latent_dim=2|8]"]`.
        datasets: references, e.g. `["mnist[binarize=dynamic]"]`.
        budget: of each run, e.g. `"60s,4GiB"`.
        seeds: how many, or which.
        metrics: references; empty for the default ones.
        device: `"auto"`, `"cpu"`, `"cuda"` (all GPUs, one for each run) or `"cuda:N"`.
        precision: `"fp32"`, `"tf32"` or `"bf16"`.
        compile: compile training steps, off the clock.
        select: which weights are scored, `"best"` or `"last"`.
        out: the output folder.
        force: redo finished runs too, from the start.
        resume: go on from what a killed process left of a run.
        retry: redo runs that ended badly: `"failed"` for all, a status such as `"timeout"`, or `"none"`.
        jobs: runs at a time, which share out the hardware; None for one on each GPU, or one on the CPU.
        evaluation_limit: how long measuring one run may take, e.g. `"30min"`.
        plugins: as the values of `-p`.
        track: trackers to log to, e.g. `"tensorboard"`.
        executor: what carries the runs out, `"local"`, `"ray"` or a plugin's.
        address: where the executor finds its machines, e.g. `"auto"`.

    Returns:
        One row per run and number, with the columns of `genbench.results.frame.COLUMNS`.

    Raises:
        UsageError: something asked for is unknown, malformed or refused; nothing was run.
        GenbenchError: no dataset can be had, the output folder can't be written, or a tracker can't
            start, or the executor's machines can't be reached.
    """
    from rich.console import Console

    from genbench.plan.suite import make_suite
    from genbench.results.frame import to_frame
    from genbench.runner.campaign import make_options
    from genbench.runner.display import make_display
    from genbench.runner.session import Session

    values = {
        "models": models,
        "datasets": datasets,
        "budget": budget,
        "seeds": seeds,
        "metrics": metrics,
        "device": device,
        "precision": precision,
        "compile": compile,
        "select": select,
        "out": out,
    }
    options = make_options(force, resume, retry, jobs, evaluation_limit, track, executor, address)
    session = Session.open(make_suite(values, "genbench.run"), plugins, options)
    console = Console(stderr=True, highlight=False)
    for remark in session.plan.remarks():
        console.print(f"genbench: {remark}", markup=False, soft_wrap=True)
    return to_frame(session.carry_out(partial(make_display, console)))
