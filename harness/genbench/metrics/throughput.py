"""How fast is the model, and how large?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from genbench import clocks as time
from genbench.metrics.base import Measurement, Metric, NotApplicable, Subject
from genbench.model import Sampler
from genbench.options import Options

#: Timed windows that the measuring time is divided into.
WINDOWS = 10


class Throughput(Metric):
    """Images per second in training and in sampling, latency of a single sample, peak memory, parameters, FLOPs.

    Training's numbers are those that the training loop counted. Sampling is timed here: after a warm-up, in windows
    that end synchronised with the device; the median window counts. `parameters` are the model's trainable numbers,
    or those of its buffers where a closed-form fit has no others. Where it is asked for, tables also say what the whole
    run cost, which is known when the run has ended: `device_seconds`, `train_flops`, `energy_joules`.
    """

    class Config(Options):
        """Options of `throughput`."""

        batch: int = Field(256, ge=1, description="samples drawn at once when images per second are measured")
        seconds: float = Field(
            1.0, gt=0, description="time for each of the two sampling speeds; a slow sampler is timed on one batch"
        )

    requires: ClassVar[tuple[type, ...]] = ()
    timed: ClassVar[bool] = True
    names: ClassVar[tuple[str, ...]] = (
        "train_images_per_s",
        "sample_images_per_s",
        "latency_ms",
        "peak_memory_mib",
        "parameters",
        "flops_per_image",
    )
    config: Config

    def measure(self, subject: Subject) -> list[Measurement]:
        model, training = subject.model, subject.training
        if not isinstance(model, nn.Module):
            raise NotApplicable("it is no model")
        results = []
        if (rate := training.get("images_per_s")) is not None:
            results.append(Measurement("train_images_per_s", float(rate), "estimate", "higher", "images/s"))
        if isinstance(model, Sampler):
            batch = self.config.batch
            seconds = _median_seconds(lambda: model.sample(batch), self.config.seconds, subject.device)
            results.append(
                Measurement(
                    "sample_images_per_s", batch / seconds, "estimate", "higher", "images/s", settings={"batch": batch}
                )
            )
            seconds = _median_seconds(lambda: model.sample(1), self.config.seconds, subject.device)
            results.append(Measurement("latency_ms", 1000 * seconds, "estimate", "lower", "ms"))
        if (memory := training.get("peak_memory_bytes")) is not None:
            results.append(Measurement("peak_memory_mib", memory / 2**20, "estimate", "lower", "MiB"))
        results.append(Measurement("parameters", float(_learned_numbers(model)), "exact", "neither"))
        if (flops := training.get("flops_per_image")) is not None:
            results.append(Measurement("flops_per_image", float(flops), "exact", "neither", "FLOP"))
        return results


def _learned_numbers(model: nn.Module) -> int:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters or sum(buffer.numel() for buffer in model.buffers() if buffer.is_floating_point())


def _median_seconds(call: Callable[[], object], seconds: float, device: torch.device) -> float:
    """Median time of one `call`, in windows of about `seconds` / WINDOWS, which together last about `seconds`."""

    def window(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    each = window(1)  # the warm-up: allocations, kernel choices, lazy initialisation
    windows: list[float] = []
    spent = 0.0
    while spent < seconds:
        calls = max(1, math.ceil(seconds / WINDOWS / each))
        elapsed = window(calls)
        spent += elapsed
        each = elapsed / calls
        windows.append(each)
    return statistics.median(windows)
