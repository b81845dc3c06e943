"""Which hardware a run gets, and that a budget in seconds shares none with anybody."""

import os
import re
import time
from types import SimpleNamespace

import pytest
import torch
from campaigns import arguments, in_background, records, run

from genbench.errors import GenbenchError, UsageError
from genbench.plan import environment
from genbench.plan.environment import gpu_name, hardware, resolve_device, visible_gpus
from genbench.plan.exchange import VisibleGpu
from genbench.runner import claim, slots
from genbench.runner.claim import Claim, claimed
from genbench.runner.slots import make_slots
from genbench.runner.worker import _status

GPUS = [VisibleGpu("3", "gpu-a"), VisibleGpu("5", "gpu-b")]


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(slots, "available_cores", lambda: [2, 3, 6, 7])


@pytest.fixture
def unclaimed(tmp_path, monkeypatch):
    """Claims of this machine that nobody else makes."""
    monkeypatch.setattr(claim, "folder", lambda: tmp_path / "claims")


@pytest.fixture
def gpus(monkeypatch):
    """Makes torch see GPUs of these makes."""

    def see(*names):
        properties = [SimpleNamespace(name=name, uuid=f"u{index}") for index, name in enumerate(names)]
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
        monkeypatch.setattr(torch.cuda, "init", lambda: None)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return see


def test_one_job_on_the_cpu_has_it_whole(four_cores):
    (slot,) = make_slots(None)
    assert (slot.cores, slot.threads, slot.environment) == ((), None, {})
    assert slot.hardware == ("core-2", "core-3", "core-6", "core-7")


def test_jobs_share_the_cores_out(four_cores):
    assert [(slot.cores, slot.threads) for slot in make_slots(2)] == [((2, 3), 2), ((6, 7), 2)]
    assert [slot.hardware for slot in make_slots(3)] == [("core-2",), ("core-3",), ("core-6",)]
    with pytest.raises(UsageError, match="--jobs 5 is more than the 4 cores there are"):
        make_slots(5)


def test_every_gpu_has_a_run_and_every_run_sees_one(four_cores):
    first, second = make_slots(None, GPUS)
    assert (first.environment, first.hardware) == ({"CUDA_VISIBLE_DEVICES": "3"}, ("gpu-a",))
    assert (second.environment, second.hardware) == ({"CUDA_VISIBLE_DEVICES": "5"}, ("gpu-b",))
    assert (first.cores, second.cores) == ((2, 3), (6, 7))
    (alone,) = make_slots(1, GPUS)
    assert (alone.environment, alone.cores) == ({"CUDA_VISIBLE_DEVICES": "3"}, ())
    with pytest.raises(UsageError, match="--jobs 3 is more than the 2 GPUs there are"):
        make_slots(3, GPUS)


def test_without_a_number_of_jobs_there_are_no_more_than_cores(four_cores):
    slots = make_slots(None, [VisibleGpu(str(index), f"gpu-{index}") for index in range(6)])
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["0", "1", "2", "3"]


def test_cuda_is_all_gpus_of_one_make(gpus):
    gpus("H200", "H200", "T4")
    both = [VisibleGpu("0", "gpu-u0"), VisibleGpu("1", "gpu-u1")]
    assert visible_gpus("cuda") == visible_gpus("auto") == both
    assert visible_gpus("cuda:2") == [VisibleGpu("2", "gpu-u2")]
    assert visible_gpus("cpu") == []
    with pytest.raises(UsageError, match="no device cuda:3: it goes up to cuda:2"):
        visible_gpus("cuda:3")


def test_gpus_are_called_what_they_are_called_outside(gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7, GPU-abc")
    gpus("H200", "H200")
    assert [gpu.token for gpu in visible_gpus("cuda")] == ["7", "GPU-abc"]
    assert visible_gpus("cuda:1") == [VisibleGpu("GPU-abc", "gpu-u1")]


def test_without_a_gpu_auto_is_the_cpu_and_cuda_an_error(gpus):
    gpus()
    assert visible_gpus("auto") == []
    with pytest.raises(UsageError, match="no device cuda: this machine has no CUDA device"):
        visible_gpus("cuda")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA error: initialization error\nCompile with"), "CUDA error: initialization error; something"),
        (RuntimeError("Cannot re-initialize CUDA in forked subprocess."), "in forked subprocess.; something"),
        (RuntimeError("The NVIDIA driver on your system is too old"), r"is too old \(--device cpu does without\)"),
    ],
)
def test_a_gpu_that_can_not_be_used_is_one_line(gpus, monkeypatch, error, said):
    """In the process that counts the GPUs, in that which plans, and in a run's, where it becomes the record's error."""

    def fail():
        raise error

    gpus("H200")
    monkeypatch.setattr(torch.cuda, "init", fail)
    for first_use in (resolve_device, visible_gpus, hardware, gpu_name):
        with pytest.raises(GenbenchError, match=f"cuda:0 can't be used: .*{said}") as caught:
            first_use("cuda:0")
        assert "\n" not in str(caught.value)
    assert gpu_name("cpu") is None
    assert visible_gpus("cpu") == []


@pytest.mark.parametrize("said", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"])
def test_a_gpu_that_others_have_filled_is_out_of_memory(said):
    assert _status(RuntimeError(said)) == "out_of_memory"


def test_a_record_says_which_driver_there_was(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "DRIVER", tmp_path / "version")
    assert environment.driver_version() is None
    (tmp_path / "version").write_text("580.82.07\n")
    assert environment.driver_version() == "580.82.07"


@pytest.mark.two_cores
def test_runs_on_two_gpus_are_under_way_at_a_time_and_each_sees_its_own(tmp_path, monkeypatch):
    """As on a machine with two GPUs, but that the models compute on the CPU."""
    monkeypatch.setenv("GENBENCH_TEST", str(tmp_path))
    monkeypatch.setattr("genbench.runner.local.make_slots", lambda jobs, gpus: make_slots(jobs, GPUS))
    out = tmp_path / "out"
    assert run("meets,meets[width=2]", out, budget="5steps") == 0
    assert len(records(out)) == 2
    logs = [path.read_text() for path in out.glob("runs/*/log.txt")]
    assert sorted(re.search("sees GPU (.*)", log)[1] for log in logs) == ["3", "5"]


def test_what_is_claimed_is_not_claimed_again_unless_both_share(unclaimed):
    alone = Claim.take(["core-0", "core-1"], shared=False)
    assert Claim.take(["core-1", "core-2"], shared=False) is None
    assert Claim.take(["core-1"], shared=True) is None
    elsewhere = Claim.take(["core-2"], shared=False)  # what was claimed in vain is free
    alone.release()
    elsewhere.release()
    one, other = Claim.take(["core-1"], shared=True), Claim.take(["core-1", "core-2"], shared=True)
    assert Claim.take(["core-2"], shared=False) is None
    other.release()
    assert Claim.take(["core-1"], shared=False) is None
    one.release()
    assert Claim.take(["core-1"], shared=False) is not None


def test_a_claim_says_who_has_the_hardware(unclaimed, tmp_path):
    held = Claim.take(["core-0", "core-1"], shared=False, out=tmp_path / "out")
    said = claimed(["core-0", "core-1"])
    assert said.startswith(f"core-0, core-1 (process {os.getpid()}, `")
    assert f"`, for {tmp_path / 'out'}, since 20" in said
    assert said.count("(process") == 1
    for content in (b"", b"[1]", b'{"pid": 3}', b"\xff", b"{" * 10**6):
        (claim.folder() / "core-1").write_bytes(content)
        assert claimed(["core-1"]) == "core-1"
    assert claimed(["core-7"]) == "core-7"
    held.release()


def test_nothing_is_claimed_where_no_lock_can_be_kept(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(claim, "folder", lambda: tmp_path / "file" / "claims")
    assert Claim.take(["core-0"], shared=False) is not None


@pytest.fixture
def start(tmp_path):
    """Starts a campaign, given a name for its folder and a budget."""
    with in_background(tmp_path) as background:
        yield lambda name, budget: background(*arguments("steady", tmp_path / name, budget))


def test_of_two_campaigns_with_budgets_in_seconds_one_waits(start):
    both = [start(name, "2s") for name in "ab"]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    (waited,) = [text for text in said if "waiting" in text]
    other = both[1 - said.index(waited)]
    assert "waiting for another genbench to finish with core-" in waited
    assert f"(process {other.pid}, `-c run --models steady" in waited.replace("\n", " ")


def test_campaigns_with_budgets_in_steps_do_not_wait_for_each_other(start):
    both = [start(name, "100steps") for name in "ab"]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert not any("waiting" in text for text in said)


def test_hardware_is_free_when_its_campaign_was_killed(start, tmp_path):
    killed = start("a", "600s")
    deadline = time.monotonic() + 60
    while not any((tmp_path / "a" / "work").glob("*/log.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    after = start("b", "1s")
    said = after.communicate(timeout=120)[1]
    assert after.returncode == 0, said


def test_claims_are_kept_where_a_session_has_no_folder_for_them(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert claim.folder().parts[-2:] == ("genbench", "hardware")
