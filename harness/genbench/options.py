"""Typed options of models, datasets and metrics: what they are called, what they accept, what they mean."""

from __future__ import annotations

import os
import urllib.parse
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

#: Begins a path that is written with percent signs, as in a `file:` URI.
_ESCAPED = "file:"


class Options(BaseModel):
    """A frozen set of options. Every field has a type, a default and a description; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _path_text(path: Path) -> str:
    """The path as text that a record can hold: one whose bytes are no UTF-8 is written as `file:caf%E9`."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _ESCAPED + urllib.parse.quote(os.fsencode(path))
    return text


def _path_of(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_ESCAPED):
        return os.fsdecode(urllib.parse.unquote_to_bytes(value.removeprefix(_ESCAPED)))
    return value


#: The type of an option that is a path. Every path can be written and read back, also one that is no UTF-8.
FilePath = Annotated[Path, BeforeValidator(_path_of), PlainSerializer(_path_text, return_type=str, when_used="json")]
