"""The command as a whole: starts light, fails in one line."""

import json
import subprocess
import sys
from functools import partial

import click
import numpy as np
import pytest

from cli.main import COMMANDS, main
from cli.messages import REPORT
from cli.options import GROUPS
from cli.parameter_types import Count, Number
from postproc.scores.blocks import Sizes
from postproc.scores.checks import fail, fail_type

HEAVY = ("numpy", "scipy", "sklearn", "torch", "matplotlib", "rich", "pyarrow")

#: What only those need who train, or vary texts.
TRAINING = ("ensemble.training", "ensemble.augmentation")


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


def test_help_loads_nothing_heavy_and_no_command():
    loaded = _modules_after(_run_code("-h"))
    assert "click" in loaded
    assert loaded.isdisjoint((*HEAVY, "lazy_loader", "dataclasses"))
    assert {name for name in loaded if name.partition(".")[0] == "cli"} == {"cli", "cli.main"}


def test_help_of_each_command_loads_nothing_heavy():
    code = "\n".join(_run_code(name, "-h") for name in COMMANDS)
    assert _modules_after(code).isdisjoint(HEAVY)


def test_importing_the_package_loads_nothing_heavy():
    loaded = _modules_after("import postproc, postproc.files")
    assert loaded.isdisjoint(HEAVY)
    assert not any(name.startswith(TRAINING) for name in loaded)


def test_can_on_npy_loads_neither_torch_nor_sklearn(tmp_path):
    np.save(tmp_path / "preds.npy", np.random.default_rng(0).normal(size=(50, 3)))
    np.save(tmp_path / "labels.npy", np.arange(50) % 3)
    code = _run_code("can", "preds.npy", "--prior", "labels", "--labels", "labels", "--json")
    loaded = _modules_after(code, cwd=tmp_path)
    assert not any(name.startswith(TRAINING) for name in loaded)
    assert loaded.isdisjoint(
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


@pytest.mark.parametrize("name", COMMANDS)
def test_options_stand_in_groups_and_say_their_defaults(run_cli, name):
    command = main.get_command(None, name)
    help_text = run_cli(name, "-h").output
    titles = [line[:-1] for line in help_text.splitlines() if line.endswith("options:")]
    assert titles == [group for group in GROUPS if group in titles]
    assert help_text.startswith(f"Usage: postproc {name} ")
    context = command.make_context(name, [], resilient_parsing=True)
    for param in command.params:
        if not isinstance(param, click.Option):
            continue
        assert param.group in titles, param.name
        _, help_text = param.get_help_record(context)
        if isinstance(param.type, (click.Choice, Number, Count)) and not param.required:
            assert "[default:" in help_text, param.name


def test_commands_list_what_they_are():
    for name in COMMANDS:
        assert main.get_command(None, name).name == name
    assert main.get_command(None, "__init__") is None


def test_python_m_postproc_is_the_command(tmp_path):
    words = [sys.executable, "-m", "postproc", "inspect", "none.npy"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: none.npy")


def test_version(run_cli):
    from importlib.metadata import version

    assert run_cli("--version").output == f"postproc, version {version('postproc')}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nonsense"], "Error: No such command 'nonsense'"),
        (["convrt"], "Error: No such command 'convrt'; did you mean 'convert'?"),
        (["calibrate", "a.npy", "--method", "temprature"], "; did you mean 'temperature'?"),
        (["ensemble", "Stacking", "a.npy"], "; did you mean 'stack'?"),
        (["report", "a.npy", "--metric", "log-loss"], "; did you mean 'log_loss'?"),
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


def raiser(error):
    """A function that raises an error, as something from inside would."""

    def call(*args, **kwargs):
        raise error

    return call


#: Errors of the user, as they are raised, and the line that they become.
EXPECTED = {
    "value": (lambda **_: fail("x", "y", "a\n  b"), "`x` must be y, got a b"),
    "type": (lambda **_: fail_type("x", "a number", "str"), "`x` must be a number, got str"),
    "file": (raiser(FileNotFoundError(2, "No such file", "a.npy")), "a.npy: No such file"),
    "rights": (raiser(PermissionError("a.npy: read-only")), "a.npy: read-only"),
    "extra": (raiser(ImportError("no pyarrow", name="pyarrow")), "no pyarrow"),
    "memory": (raiser(MemoryError()), "out of memory"),
    "device": (raiser(type("OutOfMemoryError", (RuntimeError,), {})("CUDA: full")), "CUDA: full"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_errors_of_the_user_end_with_1_and_one_line(run_cli, monkeypatch, name):
    call, line = EXPECTED[name]
    monkeypatch.setattr(main.get_command(None, "inspect"), "callback", call)
    result = run_cli("inspect", "a.npy", code=1)
    assert (result.stdout, result.stderr) == ("", f"Error: {line}\n")
    debugged = run_cli("--debug", "inspect", "a.npy", code=1).stderr
    assert debugged.startswith("Traceback (most recent call last):\n")
    assert debugged.endswith(f"\nError: {line}\n")
    assert REPORT not in debugged


#: Faults of postproc: no check of ours has raised them.
FAULTS = {
    "key": lambda **_: {}["bug"],
    "type": lambda **_: len(1),
    "value": lambda **_: np.ones(2) + np.ones(3),
    "value of another package": lambda **_: np.linalg.inv(np.zeros((2, 2))),
    "runtime": raiser(RuntimeError("bug")),
    "our own import": raiser(ImportError("cannot import name", name="postproc.files")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_postproc_keep_their_traceback(run_cli, monkeypatch, name):
    monkeypatch.setattr(main.get_command(None, "inspect"), "callback", FAULTS[name])
    with pytest.raises((KeyError, TypeError, ValueError, RuntimeError, ImportError)) as error:
        run_cli("inspect", "a.npy")
    assert error.value.__notes__ == [REPORT]


def test_a_fault_of_postproc_ends_with_1_and_a_request(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3) * 5 - 1)
    code = (
        "import postproc.files.inspection as module\n"
        "module.inspect_predictions = lambda *args, **kwargs: len(1)\n"
        "from cli.main import main; main(['inspect', 'a.npy'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith(f"has no len()\n{REPORT}\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_console_without_unicode_is_no_obstacle(tmp_path, encoding):
    np.save(tmp_path / "préds.npy", np.eye(3) * 5 - 1)
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
    np.save(tmp_path / "a.npy", np.eye(3) * 5 - 1)
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
    owner = importlib.import_module(module)
    if isinstance(getattr(owner, name), type):
        owner, name = getattr(owner, name), "__call__"
    plain, calls = getattr(owner, name), []

    def call(*args):
        calls.append(args)
        if len(calls) == at:
            raise KeyboardInterrupt
        return plain(*args)

    monkeypatch.setattr(owner, name, call)


PASSES = {
    "checking": "postproc.scores.findings.CheckRows",
    "reference": "postproc.can.streaming.fit.sum_confident",
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
    said = "interrupted; nothing was written or kept"
    assert (told.stdout, told.stderr) == ("", f"Error: {said}\n")
    assert sorted(blocks.iterdir()) == before


def test_an_interrupted_write_says_what_is_kept(blocks, run_blocks, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, "postproc.jobs.write.WritePart", 1)
        told = run_blocks(*CAN, code=1).stderr
    assert told.startswith("Error: interrupted; stopped before the first of 10 blocks was finished")
    assert told.endswith("; no output was written\n")
    with monkeypatch.context() as patch:
        interrupt(patch, "postproc.jobs.write.WritePart", 4)
        run_blocks(*CAN, code=1)
    with monkeypatch.context() as patch:  # what an earlier run has left stays for --resume
        interrupt(patch, PASSES["reference"], 2)
        told = run_blocks(*CAN, "--resume", code=1).stderr
    assert told.endswith("nothing was written or kept\n")
    assert (blocks / ".out.npy.partial").exists()
    interrupt(monkeypatch, "postproc.jobs.write.WritePart", 8)  # 3 of 10 are there: 7 are left
    run_blocks(*CAN, "--resume")


def test_an_interruption_after_the_output_names_it(blocks, run_blocks, monkeypatch):
    np.save("labels.npy", np.zeros(200, int))
    words = ("ensemble", "soft", "a.npy", "shards", "-o", "out.npy", "--labels", "labels.npy")
    monkeypatch.setattr("cli.run.combined.compare", _interrupt)
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
            f"Error: {output.rstrip('/')}: exists already, and there is no stopped job to "
            "resume; use it as it is, or create it again with --overwrite\n"
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
    said = f"the value after {before} must not be empty; is a shell variable unset?"
    assert told.splitlines()[-1] == f"Error: {said}"
