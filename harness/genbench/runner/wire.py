"""The wire from a worker process to its parent: one JSON document a line, of known shape and limited size.

A worker runs other people's code, so nothing that comes from there is unpickled or waited for. A line that can't be
read is that worker's failure and nobody else's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from genbench.results.schema import CurvePoint, Finite, Part

#: The longest line of a run's reports, and of an answer such as a plan of many runs, in bytes.
REPORT_LIMIT, ANSWER_LIMIT = 2**20, 2**28
#: How much is taken from the wire at a time, and by one call of `Inbox.lines` at most, in bytes.
_CHUNK, _ENOUGH = 2**16, 2**22


class ParentGone(BaseException):
    """The process that the wire leads to has ended. No `Exception`, so that no model or metric takes it for one."""


class Unreadable(Exception):
    """A line on the wire that is no message; the reason is for a user."""


class Report(Part):
    """A run's report of its phase and progress."""

    phase: Literal["setup", "training", "evaluation"]
    metric: str | None = None
    done: Finite | None = None
    fraction: Finite | None = None
    seconds: Finite | None = None
    steps: int | None = None
    samples: int | None = None
    images_per_s: Finite | None = None
    scalars: dict[str, Finite] | None = None


class Point(Part):
    """A point of the curve, and what training has taken so far."""

    phase: Literal["curve"]
    point: CurvePoint
    timing: dict[str, Finite | int]


class End(Part):
    """The run's record is written."""

    phase: Literal["end"]


def read_event(line: bytes) -> dict[str, Any]:
    """The event in a line of a run's reports, as the hook `genbench_progress` gets it.

    Raises:
        Unreadable: the line holds none.
    """
    try:
        event: dict[str, Any] = json.loads(line.decode())
        _events().validate_python(event)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Unreadable(f"{where}: {first['msg']}" if where else first["msg"]) from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{line[:40]!r} is no JSON: {error}") from None
    return event


@cache
def _events() -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[Report | Point | End, Field(discriminator="phase")])


class Wire:
    """The worker's end: sends messages.

    A copy of the process that a model has forked ends when it tries to send: the run goes on in one process.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._process = os.getpid()

    def send(self, message: Any) -> None:
        """Send a message of plain data.

        Raises:
            ParentGone: nobody reads any more.
            ConnectionError: this end was closed, by a model that closes files which are not its own.
        """
        if os.getpid() != self._process:
            os._exit(0)
        rest = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BrokenPipeError:
            raise ParentGone from None
        except OSError as error:
            raise ConnectionError(f"the run's connection to the campaign was closed within the run: {error}") from None


class Inbox:
    """The parent's end: hands out lines, and never waits for the rest of one.

    Attributes:
        closed: whether nothing will come any more.
    """

    def __init__(self, descriptor: int, limit: int = REPORT_LIMIT) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._limit = limit
        self._part = bytearray()
        self.closed = False

    def fileno(self) -> int:
        """The file descriptor, for those who wait for it to be readable."""
        return self._descriptor

    def lines(self) -> Iterator[bytes]:
        """The whole lines that have come; after megabytes the rest is left to the next call.

        Raises:
            Unreadable: a line is longer than the limit.
        """
        taken = 0
        while not self.closed and taken < max(_ENOUGH, self._limit):
            try:
                chunk = os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            self.closed = not chunk
            taken += len(chunk)
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                whole, self._part = bytes(self._part) + line, bytearray()
                yield whole
            self._part += rest
            if len(self._part) > self._limit:
                raise Unreadable(f"a line of over {self._limit:,} bytes")

    def close(self) -> None:
        """Take no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self.closed = -1, True
