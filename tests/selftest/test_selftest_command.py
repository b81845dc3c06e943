import json
import os
import subprocess
import sys
import textwrap

import pytest

from genbench.cli import main
from genbench.metrics.likelihood import Likelihood

PROOFS = """
    import math

    import genbench
    from genbench import Check

    GENBENCH_API = 1


    @genbench.hookimpl
    def genbench_selftests():
        for name in {names}:
            yield genbench.SelftestEntry(name, "{file}:" + name, summary="a proof of mine")


    def right():
        yield Check("mean", 1.0, 1.02, stderr=0.01)
        yield Check("bound", 1.0, -3.0, tolerance=1e-6, relation="at_most")


    def wrong():
        yield Check("good one", 1.0, 1.0, tolerance=1e-6)
        yield Check("bad one", 1.0, 1.05, stderr=0.01)


    def raises():
        raise RuntimeError("not\\ntoday")


    def blank():
        yield Check("nothing", 1.0, math.nan, tolerance=1.0)
"""


def genbench(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code


@pytest.fixture
def proofs(tmp_path):
    """Writes a local plugin with these proofs; every test needs a name of its own, as modules stay imported."""

    def write(file, *names):
        path = tmp_path / f"{file}.py"
        path.write_text(textwrap.dedent(PROOFS).format(names=names, file=file))
        return str(path)

    return write


def test_the_table_has_the_known_answer_the_estimate_how_far_away_it_is_and_a_verdict(proofs, capsys):
    assert genbench("selftest", "right", "-p", proofs("proofs_right", "right")) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["2", "of", "2", "checks", "passed"]
    assert lines[1] == ["estimator", "known", "answer", "estimate", "away", "verdict"]
    assert lines[2] == ["right"]
    assert lines[3] == ["mean", "1", "1.02", "±", "0.01", "2.00", "s.e.", "ok"]
    assert lines[4] == ["bound", "≤", "1", "-3", "-4e+06", "tol.", "ok"]


def test_a_wrong_estimator_is_reported_and_the_others_still_run(proofs, capsys):
    path = proofs("proofs_wrong", "raises", "wrong", "right")
    assert genbench("selftest", "raises", "wrong", "right", "-p", path) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["3", "of", "5", "checks", "passed"]
    assert lines[2:4] == [["raises"], ["RuntimeError:", "not", "today", "FAILED"]]
    assert lines[4:6] == [["wrong"], ["good", "one", "1", "1", "0", "tol.", "ok"]]
    assert lines[6] == ["bad", "one", "1", "1.05", "±", "0.01", "5.00", "s.e.", "FAILED"]
    assert lines[7] == ["right"]


def test_json_has_every_check_with_its_fields(proofs, capsys):
    path = proofs("proofs_json", "right", "raises", "blank")
    assert genbench("selftest", "right", "raises", "blank", "-p", path, "--json") == 1
    mean, bound, raised, blank = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert mean == {
        "selftest": "right",
        "estimator": "mean",
        "known": 1.0,
        "estimate": 1.02,
        "stderr": 0.01,
        "tolerance": None,
        "relation": "equal",
        "away": pytest.approx(2.0),
        "verdict": "ok",
        "error": "",
    }
    assert (bound["relation"], bound["tolerance"], bound["verdict"]) == ("at_most", 1e-6, "ok")
    assert raised == {"selftest": "raises", "verdict": "failed", "error": "RuntimeError: not today"}
    assert (blank["estimate"], blank["away"], blank["verdict"]) == (None, None, "failed")


def test_without_names_all_are_carried_out(proofs, capsys):
    blocked = [option for name in ("metrics", "ae", "vae", "ebm", "flow") for option in ("-p", f"no:{name}")]
    assert genbench("selftest", "-p", proofs("proofs_all", "right", "wrong"), *blocked, "--json") == 1
    assert [row["selftest"] for row in json.loads(capsys.readouterr().out)] == ["right", "right", "wrong", "wrong"]
    assert genbench("selftest", *blocked) == 1  # nothing was proven
    assert "0 of 0 checks passed" in capsys.readouterr().out


def test_an_estimator_that_went_wrong_is_found(monkeypatch, capsys):
    """The importance-weighted bound without its -log K is too high by it."""
    average = Likelihood._average

    def forgetful(self, subject, draw, k):
        bound, mean = average(self, subject, draw, k)
        return bound + float(k > 1), mean

    assert genbench("selftest", "importance-bounds", "--json") == 0
    capsys.readouterr()
    monkeypatch.setattr(Likelihood, "_average", forgetful)
    assert genbench("selftest", "importance-bounds", "--json") == 1
    verdicts = {row["estimator"]: row["verdict"] for row in json.loads(capsys.readouterr().out)}
    assert verdicts["K-sample bound, K = 1000"] == "failed"
    assert verdicts["ELBO, K = 1000"] == "ok"


def test_an_unknown_name_is_refused_with_the_nearest(capsys):
    assert genbench("selftest", "rbm", "realnpv") == 2
    assert capsys.readouterr().err == "genbench: unknown selftest 'realnpv': did you mean realnvp?\n"


def test_a_name_claimed_twice_is_an_error_naming_both_sides(proofs, tmp_path, capsys):
    paths = proofs("proofs_one", "right"), proofs("proofs_two", "right")
    assert genbench("selftest", "right", "-p", paths[0], "-p", paths[1]) == 2
    message = capsys.readouterr().err
    assert message.startswith("genbench: selftest 'right' is claimed by proofs_one (")
    assert "and proofs_two (" in message


def test_a_file_that_is_broken_is_an_error(tmp_path, capsys):
    path = tmp_path / "proofs_broken.py"
    path.write_text("1/0")
    assert genbench("selftest", "uniform", "-p", str(path)) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"genbench: -p {path}: ZeroDivisionError")


def test_a_target_without_a_function_breaks_its_plugin(tmp_path, capsys):
    path = tmp_path / "proofs_untargeted.py"
    path.write_text(
        "import genbench\nGENBENCH_API = 1\n@genbench.hookimpl\ndef genbench_selftests():\n"
        "    yield genbench.SelftestEntry('mine', 'no_target', 's')\n"
    )
    assert genbench("plugins", "-p", str(path), "--json") == 0
    reasons = {plugin["name"]: plugin["reason"] for plugin in json.loads(capsys.readouterr().out)}
    assert "the target of 'mine' is 'no_target', not 'module:function'" in reasons["proofs_untargeted"]


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, check=False
    )


@pytest.mark.parametrize(("arguments", "code"), [(["selftest", "--help"], 0), (["selftest", "absent"], 2)])
def test_help_and_bad_usage_never_import_torch(arguments, code):
    done = python(
        "import sys\nfrom genbench.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == {code}, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    assert done.returncode == 0, done.stderr


def test_the_shell_completes_names():
    done = python(
        "from genbench.cli import main; main()",
        _GENBENCH_COMPLETE="bash_complete",
        COMP_WORDS="genbench selftest rbm realn",
        COMP_CWORD="3",
    )
    assert done.stdout.split() == ["plain,realnvp"]
