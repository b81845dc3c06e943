"""What the shell completes beside commands and names; a worker is asked once, and never the parent imports torch."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete

from genbench.cli import cli
from genbench.runner.workers import Workers


@pytest.fixture
def complete(monkeypatch):
    def complete(words):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        lines = BashComplete(cli, {}, "genbench", "_GENBENCH_COMPLETE").complete().splitlines()
        return [line.removeprefix("plain,") for line in lines]

    return complete


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What workers are asked, in place of which they say this."""
    asked = []
    options = [{"name": "latent_dim", "type": "int | none"}, {"name": "network", "type": "auto | conv | mlp"}]

    def call(self, target, *arguments, **share):
        asked.append(arguments[:2])
        return {"options": options}

    monkeypatch.setattr(Workers, "call", call)
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    return asked


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("genbench run -m vae[lat", ["vae[latent_dim="]),
        ("genbench run -m pca,vae[", ["pca,vae[latent_dim=", "pca,vae[network="]),
        ("genbench run -m 'vae[latent_dim=2,", ["vae[latent_dim=2,network="]),
        ("genbench run -m vae[latent_dim=", ["vae[latent_dim=none"]),
        ("genbench run -m vae[network=", ["vae[network=auto", "vae[network=conv", "vae[network=mlp"]),
        ("genbench run -m vae[network=conv|m", ["vae[network=conv|mlp"]),
        ("genbench plan -m vae[latent_dim=2],vq", ["vae[latent_dim=2],vqvae"]),
        ("genbench run -m vaee[lat", []),
    ],
)
def test_options_in_brackets_and_their_values(words, found, complete, told):
    assert complete(words) == found


def test_a_worker_is_asked_once_for_each_model(complete, told):
    for _ in range(2):
        assert complete("genbench run -m vae[lat") == ["vae[latent_dim="]
    assert told == [("model", "genbench_vae.vae:VAE")]
    assert complete("genbench run -d digits[net") == ["digits[network="]
    assert len(told) == 2


def test_a_damaged_cache_is_asked_anew(complete, told, tmp_path):
    complete("genbench run -m vae[lat")
    (kept,) = (tmp_path / "completion").iterdir()
    kept.write_text('[{"name": 3}]')
    assert complete("genbench run -m vae[lat") == ["vae[latent_dim="]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("genbench table OUT --columns reconstruction_mse,pa", ["reconstruction_mse,parameters"]),
        ("genbench table nowhere --sort fi", ["fid", "fid_plugin"]),
        ("genbench compare nowhere --column kid", ["kid"]),
        ("genbench run --track ten", ["tensorboard"]),
        ("genbench run --track mlflow,ten", ["mlflow,tensorboard"]),
        ("genbench run --executor r", ["ray"]),
        ("genbench run --retry ti", ["timeout"]),
        ("genbench run --device cu", ["cuda"]),
        ("genbench table --format te", ["terminal"]),
        ("genbench run -p no:ga", ["no:gan"]),
        ("genbench run -p absent.py -m pc", []),
    ],
)
def test_columns_trackers_executors_and_the_like(words, found, complete, tmp_path):
    from many_records import write_many

    assert complete(words.replace("OUT", str(write_many(tmp_path, 1)))) == found


def test_options_of_a_real_model_come_without_torch_in_this_process(tmp_path):
    code = (
        "import sys\nfrom genbench.cli import main\ntry:\n    main()\n"
        "except SystemExit:\n    assert 'torch' not in sys.modules"
    )
    environment = {
        "GENBENCH_CACHE": str(tmp_path),
        "_GENBENCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "genbench run -m vae[network=m",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert (done.returncode, done.stdout) == (0, "plain,vae[network=mlp\n"), done.stderr
