"""Typed options of models, datasets and metrics: what they are called, what they accept, what they mean."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """A frozen set of options. Every field has a type, a default and a description; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
