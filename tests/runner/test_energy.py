from types import SimpleNamespace

import pytest
import torch

from genbench.runner import nvml
from genbench.runner.energy import Energy
from genbench.runner.share import Share

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 1)


class Powercap:
    """A kernel's energy counters in files, in joules."""

    def __init__(self, folder):
        self.folder = folder

    def set(self, domain, name, joules, wraps=262_143.0):
        folder = self.folder / domain
        folder.mkdir(exist_ok=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
        (folder / "max_energy_range_uj").write_text(f"{round(wraps * 1e6)}\n")


@pytest.fixture
def powercap(tmp_path):
    cap = Powercap(tmp_path)
    cap.set("intel-rapl:0", "package-0", 1000)
    cap.set("intel-rapl:1", "package-1", 2000)
    return cap


def test_packages_and_memory_are_added_up_and_their_parts_are_not(powercap):
    powercap.set("intel-rapl:0:0", "core", 500)
    powercap.set("intel-rapl:0:1", "dram", 700)
    powercap.set("intel-rapl:2", "psys", 4000)
    (powercap.folder / "intel-rapl").mkdir()
    energy = Energy(CPU, powercap.folder)
    energy.start()
    powercap.set("intel-rapl:0", "package-0", 1010)
    powercap.set("intel-rapl:1", "package-1", 2020)
    powercap.set("intel-rapl:0:0", "core", 505)
    powercap.set("intel-rapl:0:1", "dram", 701)
    powercap.set("intel-rapl:2", "psys", 4100)
    energy.stop()
    assert energy.timing() == {"energy_joules": pytest.approx(31)}


def test_what_is_used_off_the_clock_is_not_counted(powercap):
    energy = Energy(CPU, powercap.folder)
    joules = 1000
    for _ in range(3):
        energy.start()
        powercap.set("intel-rapl:0", "package-0", joules := joules + 5)
        energy.stop()
        powercap.set("intel-rapl:0", "package-0", joules := joules + 100)
    assert energy.joules == pytest.approx(15)


def test_a_counter_that_wraps_around_goes_on(powercap):
    powercap.set("intel-rapl:0", "package-0", 262_140)
    energy = Energy(CPU, powercap.folder)
    energy.start()
    powercap.set("intel-rapl:0", "package-0", 2)
    energy.stop()
    assert energy.joules == pytest.approx(5)


def test_another_process_counts_on(powercap):
    first, second = Energy(CPU, powercap.folder), Energy(CPU, powercap.folder)
    first.start()
    powercap.set("intel-rapl:0", "package-0", 1005)
    first.stop()
    second.restore(first.state())
    second.start()
    powercap.set("intel-rapl:0", "package-0", 1007)
    second.stop()
    assert second.joules == pytest.approx(7)


@pytest.mark.parametrize("content", ["directory", "", None], ids=["unreadable", "empty", "missing"])
def test_a_counter_that_can_not_be_read_is_no_number_and_no_error(powercap, content):
    counter = powercap.folder / "intel-rapl:1" / "energy_uj"
    counter.unlink()
    if content == "directory":  # root may read any file
        counter.mkdir()
    elif content is not None:
        counter.write_text(content)
    energy = Energy(CPU, powercap.folder)
    energy.start()
    energy.stop()
    assert energy.joules is None
    assert energy.timing() == {}


def test_a_machine_without_counters_has_no_number(tmp_path):
    energy = Energy(CPU, tmp_path / "none")
    energy.start()
    energy.stop()
    assert energy.timing() == {}


def test_energy_that_was_not_counted_throughout_is_not_known(powercap, tmp_path):
    energy = Energy(CPU, powercap.folder)
    energy.restore({"joules": None})
    energy.start()
    energy.stop()
    assert energy.joules is None


class Driver:
    """As much of `pynvml` as is asked."""

    def __init__(self):
        self.millijoules = 5000

    def nvmlInit(self):  # noqa: N802  # the driver's name
        pass

    def nvmlDeviceGetHandleByUUID(self, name):  # noqa: N802  # as above
        assert name == "GPU-one"
        return "handle"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802  # as above
        assert handle == "handle"
        return self.millijoules

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802  # as above
        return SimpleNamespace(gpu=75, memory=10)


@pytest.fixture
def driver(monkeypatch):
    driver = Driver()
    monkeypatch.setattr(nvml.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        nvml.torch.cuda,
        "get_device_properties",
        lambda device: SimpleNamespace(uuid={0: "zero", 1: "one"}[device.index]),
    )
    monkeypatch.setattr(nvml.importlib, "import_module", {"pynvml": driver}.__getitem__)
    return driver


def test_a_gpus_energy_is_its_drivers(driver, powercap):
    energy = Energy(CUDA, powercap.folder)
    energy.start()
    driver.millijoules += 2500
    powercap.set("intel-rapl:0", "package-0", 1010)
    energy.stop()
    assert energy.timing() == {"energy_joules": pytest.approx(2.5)}


def test_a_gpus_utilisation_is_looked_at_while_the_clock_runs(driver):
    share = Share(CUDA)
    share.start()
    share._pulse.join(0.7)
    share.stop()
    assert share.timing()["gpu_utilisation"] == pytest.approx(0.75)


@pytest.mark.parametrize("missing", ["pynvml", "handle", "counter"])
def test_what_the_driver_does_not_tell_is_no_number_and_no_error(driver, monkeypatch, missing):
    def refuse(*_):
        raise RuntimeError("not supported")

    if missing == "pynvml":
        monkeypatch.setattr(nvml.importlib, "import_module", {}.__getitem__)
    elif missing == "handle":
        monkeypatch.setattr(driver, "nvmlDeviceGetHandleByUUID", refuse)
    else:
        monkeypatch.setattr(driver, "nvmlDeviceGetTotalEnergyConsumption", refuse)
        monkeypatch.setattr(driver, "nvmlDeviceGetUtilizationRates", refuse)
    energy = Energy(CUDA)
    energy.start()
    energy.stop()
    assert energy.timing() == {}
    assert nvml.Gpu(CUDA).utilisation() is None


def test_a_machine_without_a_gpu_has_no_driver_to_ask(monkeypatch):
    monkeypatch.setattr(nvml.torch.cuda, "is_available", lambda: False)
    assert nvml.Gpu(CUDA).joules() is None
    assert nvml.Gpu(CPU).utilisation() is None
