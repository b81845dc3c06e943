import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from genbench.cli import COMMANDS, main
from genbench.cli.common import print_list


def genbench(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["models"],
        ["datasets"],
        ["metrics"],
        ["plugins"],
        ["plugins", "--json"],
        ["completion", "bash"],
        ["table", "OUT"],
        ["table", "OUT", "--format", "json"],
        ["compare", "OUT"],
        ["compare", "OUT", "--json"],
        ["report", "OUT"],
    ],
)
def test_help_listings_tables_and_reports_never_import_torch(arguments, finished):
    arguments = [str(finished) if argument == "OUT" else argument for argument in arguments]
    code = (
        "import sys\nfrom genbench.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The output of a short comparison."""
    out = tmp_path_factory.mktemp("finished")
    assert (
        genbench("run", "-m", "pca,ppca", "-b", "5steps", "--metrics", "likelihood,reconstruction", "-o", str(out)) == 0
    )
    return out


def test_a_run_never_imports_torch_in_the_parent_and_names_what_it_wrote(tmp_path):
    arguments = [
        "run",
        "-m",
        "pca",
        "-b",
        "5steps",
        "--metrics",
        "reconstruction",
        "-o",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    code = (
        "import sys\nfrom genbench.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert "pca on digits, seed 0: ok" in done.stderr
    assert "reconstruction_mse" in done.stdout.replace("\n", "") or "reconstruction" in done.stdout
    for name in ("table.csv", "table.md", "report.html"):
        assert str(tmp_path / name) in done.stdout
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rum"], 2, "unknown command 'rum': did you mean run?"),
        (["run"], 2, "no models: name some, e.g. --models"),
        (["run", "--modles", "vae"], 2, "No such option '--modles'"),
        (["run", "-m", "vaee"], 2, "unknown model 'vaee': did you mean vae"),
        (["run", "-m", "vae[latent_dmi=2]"], 2, "model 'vae': unknown option 'latent_dmi': did you mean latent_dim?"),
        (["run", "-m", "vae[latent_dim=0]"], 2, "model 'vae', option latent_dim=0: "),
        (["run", "-m", "vae[latent_dim=2"], 2, "malformed reference"),
        (["run", "-m", "vae", "-d", "digit"], 2, "unknown dataset 'digit': did you mean digits?"),
        (["run", "-m", "vae", "-d", "digits[binarise=static]"], 2, "dataset 'digits': unknown option 'binarise'"),
        (["run", "-m", "vae", "-d", "toy2d[binarize=static]"], 2, "toy2d: binarize=static needs grey levels"),
        (["run", "-m", "rbm", "-d", "digits"], 2, "'rbm' can't be trained on digits: needs binary data"),
        (["run", "-m", "vae", "-b", "60x"], 2, "malformed budget '60x': write 60s"),
        (["run", "-m", "vae", "--seeds", "x"], 2, "malformed seeds 'x'"),
        (["run", "-m", "vae", "--metrics", "fdi"], 2, "unknown metric 'fdi': did you mean fid"),
        (["run", "-m", "vae", "--metrics", "fid[m=1]"], 2, "metric 'fid': unknown option 'm'"),
        (["run", "-m", "vae", "--device", "cuda:99"], 2, "no device cuda:99"),
        (["run", "-m", "vae", "--device", "tpu"], 2, "options: device: "),
        (["run", "-m", "vae", "-p", "absent.py"], 2, "-p absent.py: no such Python file"),
        (["run", "-m", "vae", "-p", "no:vea"], 2, "unknown plugin to block 'vea': did you mean vae?"),
        (["run", "absent.toml"], 2, "unknown suite 'absent.toml': there is no such file; choose from separation"),
        (["run", "bed.toml"], 2, "unknown suite 'bed.toml': did you mean bad.toml?"),
        (["plan", "-m", "vae", "--seeds", "20250101"], 2, "malformed seeds '20250101': this means 20,250,101 seeds"),
        (["run", "-m", "vae", "--seeds", "18446744073709551616,"], 2, "options: seeds: seeds must be distinct numbers"),
        (["run", "bad.toml"], 2, "bad.toml: unknown key 'model': did you mean models?"),
        (["run", "-m", "vae", "-d", "mnist"], 1, "dataset 'mnist': "),
        (["run", "-m", "vae", "-d", "folder[path=absent]"], 2, "folder: path=absent is no folder"),
        (["table", "absent"], 1, "no results in absent"),
        (["compare", "absent"], 1, "no results in absent"),
        (["report", "absent"], 1, "no results in absent"),
        (["show", "vaee"], 2, "unknown model, dataset or metric 'vaee': did you mean vae"),
    ],
)
def test_bad_input_is_one_line_naming_the_culprit_and_changes_nothing(
    arguments, code, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENBENCH_DATA", str(tmp_path / "no-data-here"))
    # an address where nobody listens stands in for having no network
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    Path("bad.toml").write_text('model = "vae"\n')
    assert genbench(*arguments) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"genbench: {message}")
    assert shown.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]


def test_an_output_folder_that_is_a_file_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert genbench("run", "-m", "pca", "-b", "1steps", "-o", str(tmp_path / "file")) == 1
    assert "can't write to the output folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_bad_record_is_named_and_the_rest_shown(finished, capsys):
    bad = finished / "runs" / ("f" * 16)
    bad.mkdir()
    (bad / "record.json").write_text('{"schema": 1, "key"')
    assert genbench("table", str(finished)) == 0
    shown = capsys.readouterr()
    assert f"skipped {bad / 'record.json'}: no JSON document" in shown.err
    assert "ppca" in shown.out
    (bad / "record.json").unlink()
    bad.rmdir()


def test_a_plan_prints_the_matrix_and_runs_nothing(tmp_path, capsys):
    out = tmp_path / "out"
    assert genbench("plan", "-m", "pca,ppca", "--seeds", "2", "-b", "2s", "-o", str(out), "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    labels = [(run["label"], run["seed"], run["reused"]) for run in plan["runs"] if run["family"] != "reference"]
    assert labels == [("pca", 0, False), ("pca", 1, False), ("ppca", 0, False), ("ppca", 1, False)]
    assert all(run["expected_seconds"] > 2 for run in plan["runs"])
    assert not out.exists()


def test_a_plan_estimates_time_from_the_records_and_reads_no_more_than_it_needs(finished, capsys, monkeypatch):
    options = ["--metrics", "likelihood,reconstruction", "-o", str(finished)]
    assert genbench("plan", "-m", "pca,vae", "-b", "50steps", "--json", *options) == 0
    plan = json.loads(capsys.readouterr().out)
    expected = {run["label"]: run["expected_seconds"] for run in plan["runs"]}
    assert 0 < expected["pca"] == plan["expected_seconds"]
    assert expected["vae"] is None
    assert genbench("plan", "-m", "pca,vae", "-b", "50steps", *options) == 0
    assert "and 1 run of unknown duration: no record tells their speed" in capsys.readouterr().out
    monkeypatch.setattr("genbench.results.store.Store.read_all", lambda *_, **__: pytest.fail("read all records"))
    assert genbench("plan", "-m", "pca", "-b", "5steps", *options) == 0


PLUGIN = """
import os, time, torch, genbench
from genbench.model import Model, Reconstructor

GENBENCH_API = 1


@genbench.hookimpl
def genbench_models():
    for name in ("Fine", "Odd", "Exits", "NoConfig", "NotOne", "Nowhere"):
        yield genbench.ModelEntry(name.lower(), f"odd_models:{name}", family="odd", summary="a\\nmodel")
    yield genbench.ModelEntry("pca", "odd_models:Fine", family="odd", summary="a rival")


class Fine(Model, Reconstructor):
    def update(self, batch, progress):
        self.done = True
        return {"loss": torch.zeros(())}

    def reconstruct(self, x):
        return x * HELP


class Odd(Fine):
    @classmethod
    def check_data(cls, data):
        raise ValueError("boom")


class Exits(Fine):
    def __init__(self, data, config):
        os._exit(3)


class NoConfig(Fine):
    Config = dict


class NotOne:
    pass
"""


@pytest.fixture
def odd(tmp_path):
    """A plugin file with models of every kind of oddity, that imports a helper beside it."""
    (tmp_path / "helper.py").write_text("HELP = 0.5\n")
    path = tmp_path / "odd_models.py"
    path.write_text(f"from helper import HELP\n{PLUGIN}")
    return path


def test_models_that_cant_be_had_are_a_line_where_they_are_asked_for(odd, tmp_path, capsys):
    for name, reason in {
        "noconfig": "it should be a subclass of genbench.model.base.ModelConfig",
        "notone": "is no subclass of genbench.model.base.Model",
        "nowhere": "has no attribute 'Nowhere'",
        "pca": "is claimed by ae (genbench ",
    }.items():
        arguments = ["-p", str(odd), "-m", f"fine,{name}", "-b", "1steps", "-o", str(tmp_path / "out")]
        assert genbench("run", *arguments) == 2
        shown = capsys.readouterr()
        assert shown.err.startswith(f"genbench: model '{name}'")
        assert reason in shown.err
        assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_what_a_model_does_while_planning_is_left_to_its_run(odd, tmp_path, capsys):
    arguments = ["-p", str(odd), "-b", "1steps", "--metrics", "reconstruction", "-o", str(tmp_path / "out")]
    assert genbench("run", "-m", "odd,exits,fine,odd_models:pca", *arguments) == 3
    records = [json.loads(path.read_text()) for path in tmp_path.glob("out/runs/*/record.json")]
    ends = {record["spec"]["label"]: record["status"] for record in records}
    assert ends == {"odd": "failed", "exits": "killed", "fine": "ok", "odd_models:pca": "ok"}
    assert [record["error"]["message"] for record in records if record["spec"]["label"] == "odd"] == ["boom"]
    capsys.readouterr()
    (tmp_path / "helper.py").write_text("HELP = 0.25\n")
    assert genbench("plan", "-m", "fine", *arguments) == 0
    assert "run: new: odd_models.py has changed since run" in " ".join(capsys.readouterr().out.split())


def test_a_list_has_both_sides_of_a_name_claimed_twice_in_lines_that_can_be_read(odd, capsys):
    assert genbench("models", "-p", str(odd)) == 0
    rows = [line.split("   ")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert {"ae:pca", "odd_models:pca", "fine"} <= set(rows)
    assert genbench("models", "-p", str(odd), "--json") == 0
    listed = {entry["ask_for"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["odd_models:pca"]["name"] == listed["ae:pca"]["name"] == "pca"
    assert listed["fine"]["summary"] == "a model"


def test_long_lists_are_columns_too(capsys):
    print_list("many", ["name", "about"], [["a" * 60, "x\ny"], *[["b", "z"]] * 600])
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == ["many", f"{'name':60}   about", f"{'a' * 60}   x y"]
    assert shown[3:] == [f"{'b':60}   z"] * 600


def test_python_m_genbench_is_genbench():
    done = subprocess.run([sys.executable, "-m", "genbench", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[0]) == (0, "genbench")


def test_a_plan_says_what_would_be_reused_and_why(finished, capsys):
    arguments = ["-m", "pca", "-b", "5steps", "--metrics", "likelihood,reconstruction", "-o", str(finished)]
    assert genbench("plan", *arguments) == 0
    shown = capsys.readouterr().out
    assert "reuse: same spec, plugin and data finished" in shown
    assert "1 reused" in shown
    assert genbench("plan", *arguments, "--force") == 0
    assert "run: forced" in capsys.readouterr().out


@pytest.mark.parametrize(("what", "name"), [("models", "vae"), ("datasets", "digits"), ("metrics", "fid")])
def test_listings_say_what_was_found_and_from_where(what, name, capsys):
    assert genbench(what) == 0
    shown = capsys.readouterr().out
    assert name in shown
    assert "genbench 0." in shown
    assert genbench(what, "--json") == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries[name]["from"].startswith("genbench ")


def test_show_prints_every_option_with_type_default_bounds_and_meaning(capsys):
    assert genbench("show", "vae") == 0
    shown = capsys.readouterr().out
    for text in ("latent_dim", "≥ 1", "LatentBound", "Kingma & Welling", "batch_size", "128"):
        assert text in shown
    assert re.search(r"beta +float +1\.0 .*\n.*warmup +float +0\.0 ", shown)
    assert genbench("show", "vae", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    options = {option["name"]: option for option in document["options"]}
    assert options["learning_rate"] == {
        "name": "learning_rate",
        "type": "float",
        "default": options["learning_rate"]["default"],
        "bounds": "> 0",
        "meaning": "Adam's step size at its largest",
    }
    assert {"Sampler", "LatentBound", "Decoder", "Encoder", "Reconstructor"} <= set(document["capabilities"])


def test_every_option_of_every_offer_says_what_it_means(capsys):
    for what in ("models", "datasets", "metrics"):
        assert genbench(what, "--json") == 0
        for entry in json.loads(capsys.readouterr().out):
            assert genbench("show", entry["name"], "--json") == 0
            document = json.loads(capsys.readouterr().out)
            assert document["description"], entry["name"]
            for option in document["options"]:
                assert option["meaning"], (entry["name"], option["name"])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("genbench run --models vae,realn", "vae,realnvp"),
        ("genbench run --datasets dig", "digits"),
        ("genbench show vq", "vqvae"),
        ("genbench mod", "models"),
    ],
)
def test_the_shell_completes_commands_and_names(words, found):
    done = python(
        "from genbench.cli import main; main()",
        _GENBENCH_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert f"plain,{found}" in done.stdout.split(), done.stderr


def test_every_command_has_help_with_an_example_and_stands_in_the_readme(capsys, readme):
    for name in COMMANDS:
        assert genbench(name, "--help") == 0
        shown = capsys.readouterr().out
        assert "Examples:" in shown, name
        assert f"genbench {name}" in readme, name


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("genbench.results.store.Store.__init__", lambda self, out: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["table", "."])
