import subprocess
import sys

import pytest

import genbench
from genbench.errors import UsageError
from genbench.results.frame import COLUMNS


def test_run_returns_a_frame_and_reuses_finished_runs(tmp_path):
    arguments = {"models": ["pca"], "budget": "3steps", "metrics": "reconstruction", "out": tmp_path, "seeds": [0, 5]}
    frame = genbench.run(**arguments)
    assert list(frame.columns) == COLUMNS
    assert frame["seed"].tolist() == [0, 5]
    assert frame["name"].unique().tolist() == ["reconstruction_mse"]
    assert (frame["value"] > 0).all()
    again = genbench.run(**arguments)
    assert again.equals(frame)


def test_bad_arguments_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="unknown model 'pcaa': did you mean pca"):
        genbench.run("pcaa", out=tmp_path / "none")
    with pytest.raises(UsageError, match=r"genbench\.run: precision"):
        genbench.run("pca", precision="fp8", out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


CALL = "print(len(genbench.run('pca', budget='1steps', metrics='reconstruction', out='out')))\n"


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        (f"import genbench\n{CALL}", ["-"]),
        (f"import genbench\nif __name__ == '__main__':\n    {CALL}", ["-"]),
        (f"import genbench\n{CALL}", ["script.py"]),
        (f"import genbench\n{CALL}", ["-c"]),
    ],
    ids=["standard input", "standard input, guarded", "a file without a guard", "-c"],
)
def test_a_script_runs_wherever_it_comes_from(script, arguments, tmp_path):
    (tmp_path / "script.py").write_text(script)
    arguments = [*arguments, script] if arguments == ["-c"] else arguments
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, input=script, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
