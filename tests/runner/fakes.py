"""Models that do what models do when they go wrong, as one local plugin file."""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from pydantic import Field
from torch import nn

import genbench
from genbench.model import GradientConfig, GradientModel, Reconstructor, Sampler
from genbench.results import store
from genbench.runner import loop

GENBENCH_API = 1
NAMES = (
    *("fine", "raises", "nan", "exits", "killed", "late", "chatty", "hungry", "slow", "badsetup", "badinit"),
    *("hangs", "stubborn", "endless", "segfaults", "full", "once", "steady", "unsampled", "forks", "meets"),
    *("torn", "unwinds", "unpublished", "scribbles", "leaves", "quits", "copies", "lingers"),
)


@genbench.hookimpl
def genbench_models():
    for name in NAMES:
        yield genbench.ModelEntry(name, f"fakes:{name.capitalize()}", family="fake", summary=f"a model that is {name}")


class Fine(GradientModel, Reconstructor):
    """A linear autoencoder of one number."""

    class Config(GradientConfig):
        """Its options."""

        width: int = Field(1, ge=1, description="numbers in the code")

    def __init__(self, data, config):
        super().__init__(data, config)
        self.down = nn.Linear(data.dims, config.width)
        self.up = nn.Linear(config.width, data.dims)
        self.register_buffer("updates", torch.zeros(()))

    def reconstruct(self, x):
        return self.up(self.down(x.flatten(1))).view_as(x)

    def loss(self, batch, progress):
        if self.training:
            self.updates += 1
            self.misbehave()
        return {"loss": (self.reconstruct(batch.x) - batch.x).square().mean()}

    def misbehave(self):
        pass


class Raises(Fine):
    def misbehave(self):
        if self.updates > 5:
            raise ValueError("<script>it broke</script>")


class Nan(Fine):
    def loss(self, batch, progress):
        losses = super().loss(batch, progress)
        return {"loss": losses["loss"] * (float("nan") if self.updates > 5 else 1.0)}


class Exits(Fine):
    def misbehave(self):
        if self.updates > 5:
            os._exit(7)


class Killed(Fine):
    def misbehave(self):
        if self.updates > 5:
            os.kill(os.getpid(), signal.SIGKILL)


class Late(Fine):
    def reconstruct(self, x):
        if not self.training and not torch.is_grad_enabled() and self.updates > 19:
            raise RuntimeError("no reconstructions at the end")
        return super().reconstruct(x)

    def validation_loss(self, batch):
        return None


class Chatty(Fine):
    def misbehave(self):
        print("x" * 100_000)


class Hungry(Fine):
    def misbehave(self):
        if self.updates > 5:
            self.hoard = torch.zeros(2**28)


class Slow(Fine):
    def misbehave(self):
        time.sleep(0.05)


class Badsetup(Fine):
    def setup(self, batch):
        raise RuntimeError("can't be set up")


class Badinit(Fine):
    def __init__(self, data, config):
        raise RuntimeError("can't be built")


class Hangs(Fine):
    def misbehave(self):
        if self.updates > 5:
            time.sleep(1000)


class Stubborn(Fine):
    """Hangs, and does not let itself be asked to end."""

    def misbehave(self):
        if self.updates > 5:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
            time.sleep(1000)


class Endless(Fine, Sampler):
    def sample(self, n, y=None):
        while True:
            time.sleep(0.01)


class Unsampled(Fine, Sampler):
    def sample(self, n, y=None):
        raise RuntimeError("no samples today")


class Segfaults(Fine):
    def misbehave(self):
        if self.updates > 5:
            ctypes.string_at(0)


class Forks(Fine):
    """Dies and leaves a process behind, as one with a data loader may."""

    def misbehave(self):
        if self.updates > 5:
            subprocess.Popen(["sleep", "1000"])
            os.kill(os.getpid(), signal.SIGKILL)


class Full(Fine):
    """Its process can't write more than a few thousand bytes to any file, as if the disk were full."""

    def misbehave(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


class Steady(Fine):
    """Its state is saved after every step, each of which takes a while."""

    def __init__(self, data, config):
        super().__init__(data, config)
        loop.SAVE_SECONDS = 0.0

    def misbehave(self):
        time.sleep(0.01)


class Once(Steady):
    """Is killed at its eighth step, but for the first time only."""

    def misbehave(self):
        marker = Path(os.environ["GENBENCH_TEST"]) / "killed-once"
        if self.updates == 8 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Meets(Fine):
    """Trains only while another one like it trains, and says which GPU it sees."""

    def misbehave(self):
        here = Path(os.environ["GENBENCH_TEST"])
        (here / f"meets-{os.getpid()}").touch()
        if self.updates == 1:
            print("sees GPU", os.environ["CUDA_VISIBLE_DEVICES"])
        deadline = time.monotonic() + 60
        while len([*here.glob("meets-*")]) < 2:
            assert time.monotonic() < deadline, "alone"
            time.sleep(0.01)


class Unpublished(Steady):
    """The disk is full when its record is to be published, but for the first time only."""

    def misbehave(self):
        marker = Path(os.environ["GENBENCH_TEST"]) / "full-once"
        if self.updates == 1 and not marker.exists():
            marker.touch()
            store.Store.publish = self.no_space

    def no_space(self, *_):
        raise OSError(28, "No space left on device")


class Torn(Fine):
    """Its process is killed when it gives its record a name: its name in the workspace or, with `width=2`, the last."""

    def __init__(self, data, config):
        super().__init__(data, config)
        replace, named = os.replace, []

        def killed(source, target):
            named.append(Path(target).name)
            if named.count("record.json") == config.width:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)

        os.replace = killed


class Unwinds(Fine):
    """Its wall clock is set back by an hour at every step."""

    def misbehave(self):
        now = time.time() - 3600
        time.time = lambda: now


class Scribbles(Fine):
    """Writes to every open file, as one may that confuses descriptors."""

    def misbehave(self):
        if self.updates == 6:
            for descriptor in range(3, 64):
                with contextlib.suppress(OSError):
                    os.write(descriptor, b"\x00\x00\x00\x05hello\n")


class Leaves(Fine):
    """Leaves a process behind that has a session of its own, and ends well."""

    def misbehave(self):
        if self.updates == 6:
            subprocess.Popen(["sleep", "1000"], start_new_session=True)


class Quits(Fine):
    """Ends its process as if all were well."""

    def misbehave(self):
        if self.updates == 6:
            sys.exit(0)


class Copies(Fine):
    """Forks its process, and trains on in both."""

    def misbehave(self):
        if self.updates == 6:
            os.fork()


class Lingers(Fine):
    """Stays in the phase that GENBENCH_LINGER names until it is told to go on."""

    @classmethod
    def check_data(cls, data):
        linger("planning")

    def setup(self, batch):
        linger("setup")

    def misbehave(self):
        if self.updates == 6:
            linger("training")

    def reconstruct(self, x):
        if not self.training and self.updates > 19:
            linger("evaluation")
        return super().reconstruct(x)


def linger(phase):
    if os.environ.get("GENBENCH_LINGER") == phase:
        here = Path(os.environ["GENBENCH_TEST"])
        (here / "lingering").touch()
        while not (here / "go").exists():
            time.sleep(0.02)
