"""A worker that is asked for one thing: calls a function and sends back what it returns or raises."""

from __future__ import annotations

import traceback
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from genbench.errors import GenbenchError
from genbench.runner.supervisor import resolve
from genbench.runner.wire import ParentGone, Wire


def answer(wire: Wire, target: str, arguments: tuple[Any, ...], returns: Any) -> None:
    """Call `target` (`"module:function"`) and send its result, which is a `returns`, as JSON."""
    found: dict[str, Any]
    try:
        found = {"returned": _plain(resolve(target)(*arguments), returns, target)}
    except GenbenchError as error:
        found = {"raised": str(error), "exit_code": error.exit_code}
    except ParentGone:
        raise
    except BaseException:  # also what a plugin does to end the process
        found = {"crashed": traceback.format_exc()}
    wire.send(found)


def _plain(result: Any, returns: Any, target: str) -> Any:
    try:
        return TypeAdapter(returns).dump_python(result, mode="json", warnings="error")
    except PydanticSerializationError as error:
        raise GenbenchError(f"the answer of {target} is no plain data: {' '.join(str(error).split())}") from None
