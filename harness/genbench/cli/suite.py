"""From the options of `run` and `plan` to a suite."""

from __future__ import annotations

from typing import Any

from genbench.plan.references import split_references
from genbench.plan.suite import Suite, find_suite, make_suite, parse_seeds, read_suite


def suite_from(suite: str | None, flags: dict[str, Any]) -> Suite:
    """The suite that a file (by path, or by name if the package ships it) and flags describe; a flag that is given
    stands above the file.

    Raises:
        UsageError: something is unknown, malformed or missing.
        GenbenchError: the file can't be read.
    """
    values = read_suite(find_suite(suite)) if suite else {}
    given = {name: value for name, value in flags.items() if value is not None}
    for name in ("models", "datasets", "metrics"):
        if name in given:
            given[name] = split_references(given[name])
    if "seeds" in given:
        given["seeds"] = parse_seeds(given["seeds"])
    values |= given
    return make_suite(values, suite or "options")
