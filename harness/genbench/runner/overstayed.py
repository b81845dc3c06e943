"""The order to end a run where it is."""

from __future__ import annotations


class Overstayed(BaseException):
    """The parent says that this run has taken too long. No `Exception`, so that no model or metric takes it for one."""
