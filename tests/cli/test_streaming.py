"""Long jobs: any shape of input and output, stopped by anything, gone on with bit by bit."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import postproc.blocks
from cli.progress import duration, watching

N, C = 1000, 5
ROOT = Path(__file__).parents[2]

#: Runs a command on blocks of a few rows; when a number of blocks has been written, does something.
DRIVER = """
import os, shutil, signal, sys
import postproc.blocks
postproc.blocks.BLOCK_BYTES = int(sys.argv[1])
at, action, words = int(sys.argv[2]), sys.argv[3], sys.argv[4:]
import postproc.resume
plain, count = postproc.resume.WritePart.__call__, 0
def call(self, rows):
    global count
    if count == at:
        exec(action)
    count += 1
    return plain(self, rows)
postproc.resume.WritePart.__call__ = call
from cli.main import main
main(words)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Files of three members, labels, and small blocks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(postproc.blocks, "BLOCK_BYTES", 8 * C * 50)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, C, N)
    np.save("labels.npy", labels)
    for m, name in enumerate("abc"):
        logits = rng.normal(size=(N, C)).astype(np.float32)
        logits[np.arange(N), labels] += 1 + 0.3 * m
        np.save(f"{name}.npy", logits)
        np.save(f"{name}.val.npy", logits[:200] + 0.1)
        for number, part in enumerate(np.split(logits, [300, 301, 640])):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            np.save(folder / f"part-{number:05d}.npy", part)
    np.save("labels.val.npy", labels[:200])
    return tmp_path


FIT = ("--fit", "a.val.npy", "--fit-labels", "labels.val.npy")
FIT_TWO = ("--fit", "a.val.npy", "--fit", "b.val.npy", "--fit-labels", "labels.val.npy")
JOBS = {
    "can": ("can", "a.npy", "--prior", "2,1,1,1,1", "--labels", "labels.npy"),
    "can, deep": ("can", "a.npy", "--prior", "2,1,1,1,1", "--iterations", "3"),
    "can, sampled": ("can", "a.npy", "--prior", "uniform", "--preset", "paper-code"),
    "soft": ("ensemble", "soft", "a.npy", "b.npy", "c.npy", "--labels", "labels.npy"),
    "hard": ("ensemble", "hard", "a.npy", "b.npy", "--tie", "random"),
    "log": ("ensemble", "log", "a.npy", "b.npy"),
    "median": ("ensemble", "median", "a.npy", "b.npy", "c.npy"),
    "rank": ("ensemble", "rank", "a.npy", "b.npy"),
    "weights": ("ensemble", "weights", "a.npy", "b.npy", *FIT_TWO),
    "blend": ("ensemble", "blend", "a.npy", "b.npy", *FIT_TWO),
    "calibrated": ("ensemble", "calibrated", "a.npy", "b.npy", *FIT_TWO),
    "greedy": ("ensemble", "greedy", "a.npy", "b.npy", *FIT_TWO),
    "stack": ("ensemble", "stack", "a.npy", "b.npy", *FIT_TWO),
    "bagging": ("ensemble", "bagging", "a.npy", "b.npy", *FIT_TWO),
    "calibrate": ("calibrate", "a.npy", *FIT, "--labels", "labels.npy"),
    "apply": ("apply", "saved.json", "a.npy", "b.npy"),
}


def job(name, run_cli):
    if name == "apply" and not Path("saved.json").exists():
        run_cli(*JOBS["stack"], "-o", "fitted.npy", "--save", "saved.json")
    return JOBS[name]


def drive(*words, at=-1, action="pass", code=0, block=8 * C * 50, **options):
    command = [sys.executable, "-c", DRIVER, str(block), str(at), action, *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def summary(result):
    """What a command says, but for where it wrote."""
    found = json.loads(result if isinstance(result, str) else result.stdout)
    return {key: value for key, value in found.items() if key not in ("output", "saved")}


@pytest.mark.parametrize("name", JOBS)
def test_a_stopped_job_gives_the_same_file_and_summary(here, run_cli, monkeypatch, name):
    words = job(name, run_cli)
    whole = run_cli(*words, "-o", "whole.npy", "--json")
    import postproc.resume

    plain, calls = postproc.resume.WritePart.__call__, []

    def call(self, rows):
        if len(calls) == 7:
            raise KeyboardInterrupt
        calls.append(rows)
        return plain(self, rows)

    monkeypatch.setattr(postproc.resume.WritePart, "__call__", call)
    stopped = run_cli(*words, "-o", "out.npy", "--json", code=1)
    assert "stopped after 7 of" in stopped.stderr
    assert not Path("out.npy").exists()
    assert Path(".out.npy.partial").is_dir()
    monkeypatch.setattr(postproc.resume.WritePart, "__call__", plain)
    again = run_cli(*words, "-o", "out.npy", "--json", "--resume")
    assert summary(again) == summary(whole)
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()
    assert not Path(".out.npy.partial").exists()


SIGNALS = {"SIGINT": 1, "SIGTERM": 1, "SIGKILL": -9}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_stops_a_job_that_is_gone_on_with(here, run_cli, name):
    words = JOBS["can"]
    run_cli(*words, "-o", "whole.npy")
    action = f"os.kill(os.getpid(), signal.{name})"
    done = drive(*words, "-o", "out.npy", at=12, action=action, code=SIGNALS[name])
    if name == "SIGKILL":
        assert done.stderr == ""
    else:
        said = "stopped after 12 of 20 blocks, which are kept; go on with --resume"
        assert done.stderr == f"Error: interrupted; {said}\n"
    assert not Path("out.npy").exists()
    words = (*words, "-o", "out.npy", "--quiet", "--resume")
    again = drive(*words, at=8, action="sys.exit('computed again')")
    assert again.stderr == ""
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()


DEVIL = ("ensemble", "devil", "a.npy", "b.npy", *FIT_TWO, "--epochs", "2", "--seeds", "1")


@pytest.mark.parametrize(
    "words",
    [
        JOBS["blend"],
        pytest.param(JOBS["bagging"], marks=pytest.mark.slow),
        pytest.param(JOBS["stack"], marks=pytest.mark.slow),
        pytest.param((*DEVIL, "--discussion-weight", "1"), marks=pytest.mark.slow),
    ],
    ids=lambda words: words[1],
)
def test_ensembles_are_fitted_alike_in_every_process(here, words):
    drive(*words, "-o", "out.npy", at=3, action="raise KeyboardInterrupt", code=1)
    drive(*words, "-o", "out.npy", "--resume", at=37, action="sys.exit('computed again')")
    assert Path("out.npy").exists()


def test_an_input_that_shrinks_stops_the_job_with_a_message(here):
    action = "os.truncate('b.npy', 9000)"
    done = drive(*JOBS["soft"], "-o", "out.npy", at=3, action=action, code=1)
    where = here / "b.npy"
    assert done.stderr.startswith(f"Error: {where}: the file shrank from 20128 to 9000 bytes while")
    assert done.stderr.endswith("which are kept; go on with --resume\n")
    assert len(done.stderr.splitlines()) == 1


def test_an_input_that_vanishes_stops_the_job_with_a_message(here):
    done = drive(*JOBS["calibrate"], "-o", "out.npy", at=3, action="os.remove('a.npy')", code=1)
    assert "a.npy: No such file or directory; stopped after 3 of 20 blocks" in done.stderr


def test_an_output_folder_that_is_removed_is_named(here):
    (here / "to").mkdir()
    done = drive(*JOBS["can"], "-o", "to/out.npy", at=3, action="shutil.rmtree('to')", code=1)
    assert done.stderr.endswith("was removed, and nothing is kept\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_full_disk_stops_the_job_and_what_was_written_is_kept(here, run_cli):
    run_cli(*JOBS["can"], "-o", "whole.npy")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (13_000, 13_000))

    done = drive(*JOBS["can"], "-o", "out.npy", code=1, preexec_fn=limit)
    assert "out.npy: File too large; stopped after " in done.stderr
    assert not Path("out.npy").exists()
    run_cli(*JOBS["can"], "-o", "out.npy", "--resume")
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()


def test_a_job_with_another_option_or_input_is_not_gone_on_with(here, run_cli):
    drive(*JOBS["can"], "-o", "out.npy", at=5, action="raise KeyboardInterrupt", code=1)
    other = run_cli(*JOBS["can"], "--alpha", "2", "-o", "out.npy", "--resume", code=1)
    assert "`options.alpha` was null and is 2.0 now" in other.stderr
    os.utime("a.npy", ns=(1, 1))
    other = run_cli(*JOBS["can"], "-o", "out.npy", "--resume", code=1)
    assert "mtime` was " in other.stderr
    run_cli(*JOBS["can"], "-o", "out.npy")  # anew


def test_bad_rows_leave_nothing(here, run_cli):
    scores = np.load("b.npy")
    scores[777, 2] = np.nan
    np.save("b.npy", scores)
    bad = run_cli(*JOBS["soft"], "-o", "out.npy", code=1)
    assert "b.npy, row 777, column 2` must be a finite number" in bad.stderr
    assert not Path("out.npy").exists()
    assert not Path(".out.npy.partial").exists()


@pytest.mark.parametrize("name", ["can", "soft", "calibrate", "apply"])
@pytest.mark.parametrize("output", ["out.npy", "out/", "out.npz", "out.zarr"])
def test_shards_and_zarr_in_and_out_are_as_one_file(here, run_cli, name, output):
    if output == "out.zarr":
        zarr = pytest.importorskip("zarr")
        zarr.create_array("z.zarr", data=np.load("a.npy"), chunks=(64, C))
    words = job(name, run_cli)
    whole = run_cli(*words, "-o", "whole.npy", "--json")
    source = {"out.zarr": "z.zarr", "out/": "a/", "out.npz": "a/part", "out.npy": "a/part"}[output]
    swapped = [source if word == "a.npy" else word for word in words]
    if name == "apply":
        swapped.append("--by-order")
    again = run_cli(*swapped, "-o", output, "--json")
    if name == "can":
        assert summary(again)["report"] == summary(whole)["report"]
    want = np.load("whole.npy")
    loaded = postproc.load_predictions(output)
    np.testing.assert_array_equal(loaded.scores[:], want)
    if output == "out/":
        sizes = [len(np.load(path)) for path in sorted(Path("out").iterdir())]
        assert sizes == [300, 1, 339, 360]  # as the shards that came in
    assert not list(here.glob(".*"))


def test_reports_and_inspections_of_shards_are_as_of_one_file(here, run_cli):
    words = ("--labels", "labels.npy", "--json")
    whole = run_cli("report", "a.npy", "b.npy", *words).stdout
    again = run_cli("report", "a/", "b/part", *words).stdout.replace("b/part", "b")
    unnamed = again.replace('"part"', '"b"')
    assert json.loads(whole)["models"] == json.loads(unnamed)["models"]
    a, b = (json.loads(run_cli("inspect", path, "--json").stdout) for path in ("a.npy", "a/"))
    assert a["predictions"][0] | {"name": "a"} == b["predictions"][0]


@pytest.mark.parametrize("name", ["can", "soft", "weights", "calibrate"])
@pytest.mark.parametrize("rows", [1, 999])
def test_results_do_not_depend_on_how_rows_are_cut(here, run_cli, monkeypatch, name, rows):
    words = JOBS[name]
    monkeypatch.setattr(postproc.blocks, "BLOCK_BYTES", 8 * C * 10_000)
    one = run_cli(*words, "-o", "one.npy", "--json")
    monkeypatch.setattr(postproc.blocks, "BLOCK_BYTES", 8 * C * rows)
    many = run_cli(*words, "-o", "many.npy", "--json")
    np.testing.assert_allclose(np.load("many.npy"), np.load("one.npy"), rtol=1e-6, atol=1e-7)
    counts = ("confident", "ambiguous", "changed", "rows")
    assert [summary(one).get(key) for key in counts] == [summary(many).get(key) for key in counts]


def test_a_run_directory_keeps_its_meaning(here, run_cli):
    folder = here / "run"
    folder.mkdir()
    for name in "ab":
        for split in ("val", "test"):
            np.save(folder / f"{name}.{split}.npy", np.load(f"{name}.npy")[:40])
    for split in ("val", "test"):
        np.save(folder / f"labels.{split}.npy", np.load("labels.npy")[:40])
    np.save(folder / "extra-00000.npy", np.load("a.npy"))
    found = json.loads(run_cli("report", folder, "--json").stdout)
    assert [model["name"] for model in found["models"]] == ["a", "b"]
    run_cli("ensemble", "soft", folder, "-o", "out.npy")
    assert len(np.load("out.npy")) == 40


def test_outputs_that_cannot_be_are_refused_at_once(here, run_cli):
    slash = run_cli("can", "a.npy", "--prior", "uniform", "-o", "out.npy/", code=2)
    assert "must not end with a slash" in slash.stderr
    (here / "full").mkdir()
    (here / "full" / "notes.txt").write_text("mine")
    full = run_cli("can", "a.npy", "--prior", "uniform", "-o", "full/", "--overwrite", code=1)
    assert "holds more than shards" in full.stderr
    assert (here / "full" / "notes.txt").exists()


def test_long_jobs_say_how_far_they_are(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 40.0, 50.0, 80.0])
    monkeypatch.setattr("cli.progress.time.monotonic", lambda: next(clock))
    with watching("writing out.npy", 1000) as advance:
        for _ in range(4):
            advance(250)
    assert capsys.readouterr().err == ("writing out.npy: 500 of 1000 rows, 8 rows/s, 60 s left\n")
    assert [duration(s) for s in (5, 100, 7260)] == ["5 s", "2 min", "2 h 01 min"]


def test_a_terminal_shows_a_bar_and_quiet_shows_none(monkeypatch, capsys):
    class Terminal:
        def __init__(self):
            self.text = ""

        def isatty(self):
            return True

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    for quiet in (False, True):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setattr("cli.progress.BAR_AFTER", -1.0)
        with watching("writing", 10, quiet=quiet) as advance:
            advance(5)
            advance(5)
        assert ("writing" in terminal.text) is not quiet


def sparse_logits(path, n_rows, n_classes):
    """Rows of zeros that take no room on the disk."""
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, n_classes)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 4 * n_rows * n_classes)


def confident_logits(path, n_rows, n_classes):
    """Rows that are all sure of a class: in one array a gigabyte of float32, two of float64."""
    rows = np.where(np.arange(n_classes) == np.arange(1000)[:, None] % n_classes, 30, 0)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, n_classes)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(n_rows // 1000):
            file.write(rows.astype(np.float32).data)


LARGE = {
    "soft": ("ensemble", "soft", "a.npy", "b.npy", "--logits", "-o", "out.npy"),
    "can": ("can", "sure.npy", "--logits", "--prior", "uniform", "-o", "out.npy"),
    "report": ("report", "a.npy", "b.npy", "--logits", "--labels", "labels.npy"),
    "inspect": ("inspect", "a.npy", "--logits"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_memory_does_not_grow_with_the_rows(tmp_path, name):
    n, n_classes = 600_000, 1000  # 2.4 GB a file
    if name == "can":
        confident_logits(tmp_path / "sure.npy", 250_000, n_classes)
    else:
        for member in "ab":
            sparse_logits(tmp_path / f"{member}.npy", n, n_classes)
        np.save(tmp_path / "labels.npy", np.zeros(n, np.int32))
    report = "import atexit, resource; atexit.register(lambda: print(resource.getrusage("
    report += "resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr))"
    command = [sys.executable, "-c", f"import sys; {report}\nfrom cli.main import main\nmain()"]
    done = subprocess.run(
        [*command, *LARGE[name]], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    peak = int(done.stderr.splitlines()[-1]) * 1024
    print(name, f"{peak / 1e6:.0f} MB")  # noqa: T201  # shown by -s
    assert peak < 4e8
