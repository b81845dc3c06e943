"""Foreign code in this process changes nothing that outlives it, and ends nothing but itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genbench.contained import NotTheUser, contained


def test_the_working_folder_is_put_back_also_where_the_code_exits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def leave():
        os.chdir("elsewhere")
        sys.exit(0)

    with contained() as changed:
        os.chdir("elsewhere")
    assert Path.cwd() == tmp_path
    assert changed == ["changed the working folder"]
    with pytest.raises(SystemExit), contained():
        leave()
    assert Path.cwd() == tmp_path


STREAMS = """
import os, sys
from genbench.contained import contained
print("before")
with contained() as first:
    sys.stdout.close()
print("after", flush=True)
with contained() as second:
    os.close(2)
    sys.stderr = None
os.write(2, b"again\\n")
print(first, second, file=sys.stderr)
"""


def test_streams_that_are_closed_or_replaced_are_put_back():
    done = subprocess.run([sys.executable, "-c", STREAMS], capture_output=True, text=True, check=True)
    assert done.stdout == "before\nafter\n"
    assert done.stderr == "again\n['changed or closed stdout'] ['changed or closed stderr']\n"


def test_no_descriptor_is_left_open():
    folder = Path("/proc/self/fd")
    before = {path.name for path in folder.iterdir()}
    with contained() as changed:
        pass
    assert changed == []
    assert {path.name for path in folder.iterdir()} == before


def test_a_keyboard_interrupt_of_its_own_is_not_the_users():
    with pytest.raises(NotTheUser), contained():
        raise KeyboardInterrupt


@pytest.mark.parametrize("swallowed", [False, True])
def test_ctrl_c_is_the_users_whatever_the_code_makes_of_it(swallowed):
    handler = signal.getsignal(signal.SIGINT)

    def code():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            if not swallowed:
                raise

    with pytest.raises(KeyboardInterrupt), contained():
        code()
    assert signal.getsignal(signal.SIGINT) is handler
