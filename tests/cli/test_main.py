"""The command as a whole: starts light, fails in one line."""

import json
import subprocess
import sys
from functools import partial

import click
import numpy as np
import pytest

from cli.main import main
from cli.options import Count, Number
from postproc.scores.blocks import Sizes

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


CAN = ("can", "a.npy", "--prior", "uniform", "-o", "out.npy")


@pytest.fixture
def run_blocks(run_cli):
    """Run commands on small blocks, one after another."""
    return partial(run_cli, obj=Sizes(block=8 * 3 * 20, workers=1))


@pytest.fixture
def blocks(tmp_path, monkeypatch):
    """Files that take many blocks, and shards of them."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(200, 3)) * 3
    np.save("a.npy", rows)
    (tmp_path / "shards").mkdir()
    for number, part in enumerate(np.split(rows, [90, 100])):
        np.save(f"shards/part-{number:05d}.npy", part)
    return tmp_path


def interrupt(monkeypatch, where, at):
    """Press Ctrl-C in the call number `at` of what computes a block."""
    import importlib

    module, _, name = where.rpartition(".")
    part = getattr(importlib.import_module(module), name)
    plain, calls = part.__call__, []

    def call(self, rows):
        calls.append(rows)
        if len(calls) == at:
            raise KeyboardInterrupt
        return plain(self, rows)

    monkeypatch.setattr(part, "__call__", call)


PASSES = {
    "checking": "postproc.scores.kinds.CheckRows",
    "reference": "postproc.can.streaming.fit.SumConfident",
    "inspecting": "postproc.files.inspection.InspectRows",
}


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("name", PASSES)
def test_an_interrupted_pass_says_that_nothing_was_written(
    blocks, run_blocks, monkeypatch, name, at
):
    before = sorted(blocks.iterdir())
    interrupt(monkeypatch, PASSES[name], at)
    told = run_blocks(*(("inspect", "a.npy") if name == "inspecting" else CAN), code=1)
    said = "interrupted; nothing was written, and nothing of this run is kept"
    assert (told.stdout, told.stderr) == ("", f"Error: {said}\n")
    assert sorted(blocks.iterdir()) == before


def test_an_interrupted_write_says_what_is_kept(blocks, run_blocks, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, "postproc.jobs.write.WritePart", 1)
        told = run_blocks(*CAN, code=1).stderr
    assert told.startswith("Error: interrupted; stopped before the first of 10 blocks was finished")
    assert told.endswith(": no output was written, and nothing is kept\n")
    with monkeypatch.context() as patch:
        interrupt(patch, "postproc.jobs.write.WritePart", 4)
        run_blocks(*CAN, code=1)
    with monkeypatch.context() as patch:  # what an earlier run has left stays for --resume
        interrupt(patch, PASSES["reference"], 2)
        told = run_blocks(*CAN, "--resume", code=1).stderr
    assert told.endswith("nothing was written, and nothing of this run is kept\n")
    assert (blocks / ".out.npy.partial").exists()
    interrupt(monkeypatch, "postproc.jobs.write.WritePart", 8)  # 3 of 10 are there: 7 are left
    run_blocks(*CAN, "--resume")


def test_an_interruption_after_the_output_names_it(blocks, run_blocks, monkeypatch):
    np.save("labels.npy", np.zeros(200, int))
    words = ("ensemble", "soft", "a.npy", "shards", "-o", "out.npy", "--labels", "labels.npy")
    monkeypatch.setattr("postproc.reports.report.accuracy_report", _interrupt)
    told = run_blocks(*words, code=1).stderr
    assert told.endswith("Error: interrupted; already written: out.npy\n")
    assert np.load("out.npy").shape == (200, 3)


def _interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_a_finished_job_has_nothing_to_resume(blocks, run_blocks):
    for output in ("out.npy", "out/"):
        words = (*CAN[:-1], output)
        if output == "out/":
            (blocks / "out").mkdir()  # an empty folder is as good as none
        run_blocks(*words, "--resume")
        told = run_blocks(*words, "--resume", code=1).stderr
        assert told == (
            f"Error: {output.rstrip('/')}: exists already, and no stopped job has left anything to "
            "resume; outputs are written whole or not at all: use it as it is, or make it anew "
            "(--overwrite)\n"
        )
        run_blocks(*words, "--resume", "--overwrite")


def test_the_number_of_shards_is_said(blocks, run_blocks):
    words = ("can", "shards", "--prior", "uniform", "-o", "out.npy", "--overwrite")
    assert run_blocks(*words).stderr.splitlines()[0] == "shards: 3 shards, 200 rows"
    assert run_blocks(*words, "--quiet").stderr == ""
    (blocks / "shards" / "part-00002.npy").unlink()
    assert run_blocks(*words, "--json").stderr.splitlines()[0] == "shards: 2 shards, 100 rows"
    (blocks / "shards" / "part-00001.npy").unlink()
    assert run_blocks(*words).stderr.splitlines()[0] == "shards: 1 shard, 90 rows"


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("can", "a.npy", "--prior", ""), "--prior"),
        (("can", "a.npy", "--prior="), "--prior"),
        (("inspect", "a.npy", "--prior", "  "), "--prior"),
        (("inspect", ""), "inspect"),
        (("can", "a.npy", "-o", "", "--prior", "uniform"), "-o"),
        (("bench", "runs", "--html", "\n"), "--html"),
    ],
)
def test_empty_words_are_refused(run_cli, words, before):
    told = run_cli(*words, code=2).stderr
    said = f"what follows {before} must not be empty; is a variable of the shell unset?"
    assert told.splitlines()[-1] == f"Error: {said}"
