"""What there is to say about one model, dataset or metric; it runs in a worker process, which may import torch."""

from __future__ import annotations

import inspect
import types
import typing
from pathlib import Path
from typing import Any

import annotated_types
from pydantic.fields import FieldInfo

from genbench.data import DatasetSource
from genbench.data.views import ViewOptions
from genbench.metrics.base import Metric
from genbench.model import Model
from genbench.options import Options
from genbench.plan.prepare import capabilities, import_files
from genbench.plugins.catalogue import import_target

BASES: dict[str, type] = {"model": Model, "dataset": DatasetSource, "metric": Metric}
_BOUNDS = {
    annotated_types.Ge: "≥ {.ge}",
    annotated_types.Gt: "> {.gt}",
    annotated_types.Le: "≤ {.le}",
    annotated_types.Lt: "< {.lt}",
}


def describe(what: str, target: str, files: list[Path]) -> dict[str, Any]:
    """The docstring, the options with type, default, bounds and meaning, and what else is particular to the kind.

    Raises:
        UsageError: a file can't be imported.
        GenbenchError: the target can't be imported, or its Config is none.
    """
    import_files(files)
    cls = import_target(target, BASES[what])
    found: dict[str, Any] = {
        "description": inspect.getdoc(cls) or "",
        "options": [describe_option(name, field) for name, field in cls.Config.model_fields.items()],
    }
    if what == "model":
        found["capabilities"] = capabilities(cls)
        found["data"] = list(cls.kinds)
    if what == "dataset":
        found["options"] += [describe_option(name, field) for name, field in ViewOptions.model_fields.items()]
    if what == "metric":
        found["requires"] = [capability.__name__ for capability in cls.requires]
        found["measures"] = list(cls.names)
    return found


def describe_option(name: str, field: FieldInfo) -> dict[str, Any]:
    """One option as plain data."""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return {
        "name": name,
        "type": type_text(field.annotation),
        "default": "required" if field.is_required() else _json(default),
        "bounds": ", ".join(
            text.format(m) for m in field.metadata for kind, text in _BOUNDS.items() if isinstance(m, kind)
        ),
        "meaning": field.description or "",
    }


def type_text(annotation: Any) -> str:
    """A type as a user would write it: `int`, `conv | mlp`, `float | none`."""
    if annotation is None or annotation is type(None):
        return "none"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " | ".join(str(argument) for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(type_text(argument) for argument in arguments)
    if origin in (list, tuple, set):
        inside = [type_text(argument) for argument in arguments if argument is not Ellipsis]
        return f"list of {' | '.join(dict.fromkeys(inside))}"
    return {"str": "text", "bool": "true | false", "Path": "path"}.get(annotation.__name__, annotation.__name__)


def _json(value: Any) -> Any:
    if isinstance(value, Options):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
