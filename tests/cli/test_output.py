"""Standard output and standard error may fail: the command goes on, and its files are written."""

import errno
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from campaigns import COMMAND, arguments, records

from genbench.cli import main
from genbench.cli.output import Output


class Failing(io.StringIO):
    """A stream on which nothing can be written."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


def test_what_an_encoding_does_not_have_is_replaced():
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, encoding="ascii"))
    output.write("a – \udcff\n")
    output.flush()
    assert raw.getvalue() == b"a ? ?\n"
    assert output.encoding == "ascii"
    assert output.lost is None


@pytest.mark.parametrize(
    ("number", "lost"), [(errno.EPIPE, None), (errno.EIO, None), (errno.ENOSPC, "No space left on device")]
)
def test_a_stream_that_fails_is_given_up(number, lost):
    output = Output(Failing(number))
    assert output.write("text") == 4
    output.flush()
    assert output.failure.errno == number
    assert output.lost == lost


def test_a_stream_that_is_closed_drops_what_it_is_given():
    stream = io.StringIO()
    output = Output(stream)
    output.close()
    assert not stream.closed
    stream.close()
    assert output.write("text") == 4
    assert output.lost is None


def test_bytes_are_written_as_text():
    stream = io.StringIO()
    Output(stream).write("é".encode())
    assert stream.getvalue() == "é"


@pytest.mark.parametrize("arguments", [["models"], ["models", "--json"], ["plugins"]])
@pytest.mark.parametrize(("number", "code"), [(errno.EPIPE, 0), (errno.ENOSPC, 1)])
def test_a_listing_that_nobody_reads_is_quiet_and_one_that_is_lost_is_an_error(
    arguments, number, code, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "stdout", Failing(number))
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == code
    said = "genbench: can't write to standard output: No space left on device\n" if code else ""
    assert capsys.readouterr().err == said


def complete(out):
    """Whether a campaign has written all its files."""
    return all((out / name).stat().st_size > 0 for name in ("table.csv", "table.md", "report.html"))


def test_a_campaign_that_nobody_watches_writes_all_its_files(tmp_path):
    """The reader of standard output is gone, standard error is on a full disk, and neither is UTF-8."""
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("w") as full:
        environment = os.environ | {"PYTHONIOENCODING": "ascii"}
        command = [*COMMAND, *arguments("fine,raises", tmp_path)]
        done = subprocess.run(command, stdout=writer, stderr=full, env=environment, check=False)
    os.close(writer)
    assert done.returncode == 3
    assert {label: record.status for label, record in records(tmp_path).items()} == {"fine": "ok", "raises": "failed"}
    assert complete(tmp_path)


def test_a_campaign_outlives_its_terminal(tmp_path):
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments("steady,fine", tmp_path, budget="100steps")],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # which makes it the session's terminal
    )
    os.close(terminal)
    while b"steady" not in os.read(master, 1000):
        pass
    os.close(master)
    assert process.wait(120) == 0
    assert records(tmp_path).keys() == {"steady", "fine"}
    assert complete(tmp_path)


def test_a_report_that_fails_is_one_line_after_the_numbers(tmp_path, monkeypatch, capsys):
    from genbench.runner.workers import Workers

    call = Workers.call

    def but_no_report(self, target, *given, **share):
        if target.startswith("genbench.report"):
            raise RuntimeError("in a worker process:\nTraceback\n  File\nValueError: no plots today\n")
        return call(self, target, *given, **share)

    monkeypatch.setattr(Workers, "call", but_no_report)
    with pytest.raises(SystemExit) as end:
        main(arguments("fine", tmp_path))
    assert end.value.code == 1
    shown = capsys.readouterr()
    assert "reconstruction" in shown.out.replace("\n", "")
    assert shown.err.endswith("genbench: the tables and the report were not written: ValueError: no plots today\n")
