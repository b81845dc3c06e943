"""The paths that only a GPU has."""

import math

import pytest
import torch

from genbench.cli import main
from genbench.results.store import Store

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def run(out, models, budget, *more, device="cuda:0"):
    with pytest.raises(SystemExit) as end:
        main(["run", "-m", models, "-b", budget, "--device", device, "-o", str(out), *more])
    return end.value.code, {record.spec.label: record for record in Store(out).read_all()[0]}


def statuses(found):
    return {label: record.status if record.error is None else record.error.message for label, record in found.items()}


def test_models_of_every_family_run_on_a_gpu(tmp_path):
    """With all metrics of a default run and, as `cuda` is every GPU, as many runs at a time as there are GPUs."""
    models = "vae,realnvp,dcgan,pca"
    code, found = run(tmp_path, models, "20steps", device="cuda")
    assert statuses(found) == dict.fromkeys(found, "ok")
    assert code == 0
    assert found.keys() >= set(models.split(","))
    for record in found.values():
        assert record.spec.device == "cuda:0"
        assert record.provenance["gpu"] == torch.cuda.get_device_name()
        assert record.provenance["cuda"] == torch.version.cuda
        assert record.protocol["hardware"]["gpu"] == torch.cuda.get_device_name()
        assert not [each for each in record.unmeasured if each.status == "failed"]
    assert found["vae"].budget.used.memory_bytes > 0
    values = {value.name: value.value for value in found["vae"].metrics}
    assert {"bits_per_dim", "fid", "knn_accuracy", "train_images_per_s"} <= values.keys()
    assert all(math.isfinite(value) for value in values.values())
    assert (tmp_path / "report.html").exists()


def test_the_cpu_can_be_asked_for_where_there_is_a_gpu(tmp_path):
    code, found = run(tmp_path, "vae", "20steps", "--metrics", "likelihood", device="cpu")
    assert code == 0
    assert (found["vae"].spec.device, found["vae"].provenance["gpu"]) == ("cpu", None)


def test_auto_is_the_gpu_also_where_a_trained_model_draws_samples(tmp_path):
    code, found = run(tmp_path / "out", "vae", "20steps", "--metrics", "likelihood", device="auto")
    assert code == 0
    assert found["vae"].spec.device == "cuda:0"
    with pytest.raises(SystemExit) as end:
        main(["sample", str(tmp_path / "out" / "runs" / found["vae"].key), "--out", str(tmp_path / "samples.png")])
    assert end.value.code == 0
    assert (tmp_path / "samples.png").exists()


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_low_precision_trains(tmp_path, precision):
    code, found = run(tmp_path, "vae,realnvp", "20steps", "--precision", precision, "--metrics", "likelihood")
    assert code == 0
    assert found["vae"].spec.precision == precision


def test_a_memory_cap_is_an_out_of_memory_record_and_the_device_is_usable_afterwards(tmp_path):
    code, found = run(tmp_path, "vae[network=mlp,hidden=20000],pca", "20steps,64MiB", "--metrics", "reconstruction")
    ended = {record.spec.model: record.status for record in found.values()}
    assert (code, ended["vae"], ended["pca"]) == (3, "out_of_memory", "ok")


def test_a_seconds_budget_binds_within_one_percent(tmp_path):
    _, found = run(tmp_path, "vae", "10s", "--metrics", "likelihood")
    used = found["vae"].budget.used
    assert 10 <= used.seconds <= max(10.1, 10 + 2 * used.seconds / used.steps)


def test_compiled_models_run_as_graphs(tmp_path):
    code, found = run(tmp_path, "vae,realnvp,dcgan", "50steps", "--compile", "--metrics", "throughput")
    assert code == 0
    assert statuses(found) == dict.fromkeys(found, "ok")
    trained = {found[label].provenance["compile"] for label in ("vae", "realnvp", "dcgan")}
    assert "compiled" in trained
    # whether compilation is worth it is the machine's to say, but it was possible, and once was enough
    assert all(each == "compiled" or each.startswith("plain: compiled, a step takes") for each in trained)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_runs_use_all_gpus_at_a_time(tmp_path):
    code, found = run(tmp_path, "vae,vae[latent_dim=2]", "5s", "--metrics", "likelihood", device="cuda")
    assert code == 0
    assert {record.spec.device for record in found.values()} == {"cuda:0"}
