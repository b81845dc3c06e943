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


def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import genbench\nprint(genbench.run('pca', budget='1steps', out='out'))\n")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'under if __name__ == "__main__":' in done.stderr
