"""The paths that only a GPU has."""

import pytest
import torch

from genbench.cli import main
from genbench.results.store import Store

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def run(out, models, budget, *more, device="cuda:0"):
    with pytest.raises(SystemExit) as end:
        main(["run", "-m", models, "-b", budget, "--device", device, "-o", str(out), *more])
    return end.value.code, {record.spec.label: record for record in Store(out).read_all()[0]}


def test_models_of_every_family_run_on_a_gpu(tmp_path):
    code, found = run(tmp_path, "vae,vqvae,realnvp,dcgan,pca,ppca,independent,ae", "20steps")
    assert code == 0
    assert {record.status for record in found.values()} == {"ok"}
    assert found["vae"].provenance["gpu"]
    assert found["vae"].budget.used.memory_bytes > 0


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_low_precision_trains(tmp_path, precision):
    code, found = run(tmp_path, "vae,realnvp", "20steps", "--precision", precision, "--metrics", "likelihood")
    assert code == 0
    assert found["vae"].spec.precision == precision


def test_a_memory_cap_is_an_out_of_memory_record_and_the_device_is_usable_afterwards(tmp_path):
    code, found = run(tmp_path, "vae[network=mlp,hidden=20000],pca", "20steps,64MiB", "--metrics", "reconstruction")
    statuses = {record.spec.model: record.status for record in found.values()}
    assert (code, statuses["vae"], statuses["pca"]) == (3, "out_of_memory", "ok")


def test_a_seconds_budget_binds_within_one_percent(tmp_path):
    _, found = run(tmp_path, "vae", "10s", "--metrics", "likelihood")
    used = found["vae"].budget.used
    assert 10 <= used.seconds <= max(10.1, 10 + 2 * used.seconds / used.steps)


def test_compiled_models_run_as_graphs(tmp_path):
    code, found = run(tmp_path, "vae,realnvp,dcgan", "50steps", "--compile", "--metrics", "throughput")
    assert code == 0
    assert {record.status for record in found.values()} == {"ok"}


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_runs_use_all_gpus_at_a_time(tmp_path):
    code, found = run(tmp_path, "vae,vae[latent_dim=2]", "5s", "--metrics", "likelihood", device="cuda")
    assert code == 0
    assert {record.spec.device for record in found.values()} == {"cuda:0"}
