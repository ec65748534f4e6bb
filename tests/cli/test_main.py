"""The command as a whole: starts light, fails in one line."""

import json
import subprocess
import sys

import click
import numpy as np
import pytest

from cli.main import main
from cli.options import Count, Number

HEAVY = ("numpy", "scipy", "sklearn", "torch", "matplotlib", "rich", "pyarrow")


def _modules_after(code, cwd=None):
    """Modules that a fresh interpreter holds after running code."""
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=cwd, check=True
    )
    return set(done.stdout.split())


def _run_code(*args):
    return (
        "from cli.main import main\n"
        f"try: main({list(args)!r}, prog_name='postproc')\n"
        "except SystemExit as end: assert end.code == 0, end.code"
    )


def test_help_loads_nothing_heavy():
    loaded = _modules_after(_run_code("-h"))
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_help_of_each_command_loads_nothing_heavy():
    code = "\n".join(_run_code(name, "-h") for name in main.commands)
    assert _modules_after(code).isdisjoint(HEAVY)


def test_importing_the_package_loads_nothing_heavy():
    assert _modules_after("import postproc, postproc.files").isdisjoint(HEAVY)


def test_can_on_npy_loads_neither_torch_nor_sklearn(tmp_path):
    np.save(tmp_path / "preds.npy", np.random.default_rng(0).normal(size=(50, 3)))
    np.save(tmp_path / "labels.npy", np.arange(50) % 3)
    code = _run_code("can", "preds.npy", "--prior", "labels", "--labels", "labels", "--json")
    assert _modules_after(code, cwd=tmp_path).isdisjoint(
        ("torch", "sklearn", "matplotlib", "pyarrow", "safetensors", "rich", "pandas")
    )
    assert (tmp_path / "preds.can.npy").exists()


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_commands(run_cli, flag):
    help_text = run_cli(flag).output
    assert help_text.startswith("Usage: postproc [OPTIONS] COMMAND")
    for name in ("can", "demo", "inspect"):
        assert f"\n  {name} " in help_text
        assert "Examples:" in run_cli(name, flag).output


def test_every_number_and_every_choice_says_its_default():
    for command in main.commands.values():
        with click.Context(command) as ctx:
            for param in command.params:
                if isinstance(param.type, (click.Choice, Number, Count)) and not param.required:
                    _, help_text = param.get_help_record(ctx)
                    assert "[default:" in help_text, (command.name, param.name)


def test_version(run_cli):
    from importlib.metadata import version

    assert run_cli("--version").output == f"postproc, version {version('postproc')}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nonsense"], "Error: No such command 'nonsense'."),
        (["can"], "Error: Missing argument 'PREDS'."),
        (["can", "a.npy"], "Error: Missing option '--prior'."),
        (
            ["can", "a.npy", "b.npy", "--prior", "uniform"],
            "Error: Got unexpected extra argument (b",
        ),
        (["can", "a.npy", "--prior", "uniform", "--alpa", "1"], "Error: No such option"),
        (["inspect"], "Error: Missing argument 'PREDS...'."),
    ],
)
def test_faults_of_the_command_line_end_with_2(run_cli, args, message):
    result = run_cli(*args, code=2)
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\n  b"), "Error: a b\n"),
        (TypeError("`x` must be y"), "Error: `x` must be y\n"),
        (FileNotFoundError(2, "No such file", "a.npy"), "Error: a.npy: No such file\n"),
        (PermissionError("a.npy: read-only"), "Error: a.npy: read-only\n"),
        (ImportError("no pyarrow"), "Error: no pyarrow\n"),
    ],
)
def test_faults_of_the_data_end_with_1_and_one_line(run_cli, monkeypatch, error, line):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(main.commands["inspect"], "callback", fail)
    result = run_cli("inspect", "a.npy", code=1)
    assert (result.stdout, result.stderr) == ("", line)


def test_bugs_are_not_dressed_up_as_faults_of_the_data(run_cli, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyError("bug")

    monkeypatch.setattr(main.commands["inspect"], "callback", fail)
    with pytest.raises(KeyError):
        run_cli("inspect", "a.npy")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_console_without_unicode_is_no_obstacle(tmp_path, encoding):
    np.save(tmp_path / "préds.npy", np.eye(3) * 5)
    (tmp_path / "classes.txt").write_text("ä\nö\nü\n", encoding="utf-8")
    for args in (["inspect"], ["inspect", "--json"], ["can", "--prior", "uniform", "--json"]):
        done = subprocess.run(
            [sys.executable, "-c", "from cli.main import main; main()", *args, "préds.npy"],
            cwd=tmp_path,
            env={"PYTHONIOENCODING": encoding, "PATH": ""},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if "--json" in args:
            assert done.stdout.isascii()
            assert "préds" in str(json.loads(done.stdout))


def test_a_reader_that_leaves_a_pipe_is_no_error(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3) * 5)
    words = f"{sys.executable} -c 'from cli.main import main; main()' inspect a.npy a.npy | true"
    done = subprocess.run(words, shell=True, cwd=tmp_path, capture_output=True, check=False)
    assert done.stderr == b""
