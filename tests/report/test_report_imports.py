from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "pandas", "seaborn", "matplotlib", "scipy", "jinja2", "rich", "sklearn"}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import genbench.report", set()),
        ("import genbench.report.tables, genbench.report.formats, genbench.report.files", set()),
        ("import genbench.report.terminal", {"rich"}),
        ("import genbench.report.page, genbench.report.plots", HEAVY - {"torch", "sklearn"}),
    ],
)
def test_importing_brings_nothing_it_need_not(statement, allowed):
    code = f"import sys; {statement}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) <= allowed


def test_what_a_page_says_is_collected_without_what_draws(tmp_path):
    many = Path(__file__).parents[1] / "results"
    code = (
        f"import sys, pathlib; sys.path.insert(0, {str(many)!r}); from many_records import many_records; "
        "from genbench.report.page import section; section([next(many_records(1))], pathlib.Path()); "
        f"print(*sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"matplotlib", "seaborn", "pandas"} & set(done.stdout.split())
