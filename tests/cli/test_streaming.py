"""Long jobs: any shape of input and output, stopped by anything, gone on with bit by bit."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import postproc
from cli.messages import REPORT
from postproc.scores.blocks import Sizes

N, C = 1000, 5
ROOT = Path(__file__).parents[2]

#: Runs a command on blocks of a few rows; when a number of blocks has been written, does something.
DRIVER = """
import os, shutil, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in background
at, action, words = int(sys.argv[2]), sys.argv[3], sys.argv[4:]
import postproc.jobs.write
plain, count = postproc.jobs.write.WritePart.__call__, 0
def call(self, rows):
    global count
    if count == at:
        exec(action)
    count += 1
    return plain(self, rows)
postproc.jobs.write.WritePart.__call__ = call
from cli.main import main
from postproc.scores.blocks import Sizes
# blocks one after another can be counted
main(words, obj=Sizes(block=int(sys.argv[1]), workers=1))
"""


@pytest.fixture
def run_cli(request, run_cli):
    """Run commands on small blocks, one after another.

    Jobs that are called "streamed" leave references in their files, and compute rows exactly block
    by block.
    """
    sizes = Sizes(block=8 * C * 50, workers=1)
    if "streamed" in getattr(getattr(request.node, "callspec", None), "id", ""):
        sizes = replace(
            sizes,
            reference_in_memory=0,
            reference_task=8 * C * 170,
            exact_together=0,
            exact_shared=8 * C * 50,
        )
    return partial(run_cli, obj=sizes)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Files of three members, and labels."""
    monkeypatch.chdir(tmp_path)
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
DEEP = ("can", "a.npy", "--prior", "2,1,1,1,1", "--iterations", "3")
JOBS = {
    "can": ("can", "a.npy", "--prior", "2,1,1,1,1", "--labels", "labels.npy"),
    "can, deep": DEEP,
    "can, deep, streamed": DEEP,
    "can, condensed, streamed": (*DEEP, "--reference-size", "auto"),
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
    import postproc.jobs.write

    plain, calls = postproc.jobs.write.WritePart.__call__, []

    def call(self, rows):
        if len(calls) == 7:
            raise KeyboardInterrupt
        calls.append(rows)
        return plain(self, rows)

    monkeypatch.setattr(postproc.jobs.write.WritePart, "__call__", call)
    stopped = run_cli(*words, "-o", "out.npy", "--json", code=1)
    assert "stopped after 7 of" in stopped.stderr
    assert not Path("out.npy").exists()
    assert Path(".out.npy.partial").is_dir()
    monkeypatch.setattr(postproc.jobs.write.WritePart, "__call__", plain)
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
        said = "stopped after 12 of 20 blocks, which are kept; resume with --resume"
        assert done.stderr == f"Error: interrupted; {said} [PP107]\n"
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
    assert done.stderr.endswith("which are kept; resume with --resume [PP107]\n")
    assert len(done.stderr.splitlines()) == 1


def test_an_input_that_vanishes_stops_the_job_with_a_message(here):
    done = drive(*JOBS["calibrate"], "-o", "out.npy", at=3, action="os.remove('a.npy')", code=1)
    assert "a.npy: No such file or directory; stopped after 3 of 20 blocks" in done.stderr


def test_an_output_folder_that_is_removed_is_named(here):
    (here / "to").mkdir()
    done = drive(*JOBS["can"], "-o", "to/out.npy", at=3, action="shutil.rmtree('to')", code=1)
    assert done.stderr.endswith("was removed, and nothing is kept [PP107]\n")
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


def test_a_job_of_one_block_does_not_take_the_place_of_a_stopped_one(here, run_cli):
    drive(*JOBS["can"], "-o", "out.npy", at=5, action="raise KeyboardInterrupt", code=1)
    np.save("small.npy", np.load("a.npy")[:20])
    words = ("can", "small.npy", *JOBS["can"][2:4], "-o", "out.npy")
    assert "out.npy: cannot be resumed: `" in run_cli(*words, "--resume", code=1).stderr
    assert Path(".out.npy.partial/journal.jsonl").exists()
    assert not Path("out.npy").exists()
    run_cli(*JOBS["can"], "-o", "out.npy", "--resume")
    run_cli(*JOBS["can"], "-o", "whole.npy")
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()


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
    assert a["predictions"][0] | {"name": "a", "shards": 4} == b["predictions"][0]


@pytest.mark.parametrize("name", ["can", "soft", "weights", "calibrate"])
@pytest.mark.parametrize("rows", [1, 999])
def test_results_do_not_depend_on_how_rows_are_cut(here, run_cli, name, rows):
    words = JOBS[name]
    one = run_cli(*words, "-o", "one.npy", "--json", obj=Sizes(block=8 * C * 10_000))
    many = run_cli(*words, "-o", "many.npy", "--json", obj=Sizes(block=8 * C * rows))
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
    assert "contains files other than shards" in full.stderr
    assert (here / "full" / "notes.txt").exists()


def test_a_second_process_does_not_write_the_same_output(here, run_cli):
    words = ("can", "a.npy", "--prior", "uniform", "-o", "out.npy")
    second = [sys.executable, "-c", "from cli.main import main; main()", *words]
    action = f"import subprocess; done = subprocess.run({second}, capture_output=True, text=True)"
    action += "; print(done.returncode, done.stderr, end='')"
    told = drive(*words, "--quiet", at=3, action=action).stdout
    assert told.startswith("1 Error: out.npy: another job is writing this output")
    assert len(told.splitlines()) == 1
    run_cli(*words[:-1], "whole.npy")
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()


def test_an_input_is_never_the_output(here, run_cli):
    words = ("ensemble", "soft", "a.npy", "b/", "-o", "b/", "--overwrite")
    can = ("can", "b/part-00000.npy", "--prior", "uniform", *words[4:])
    for text in (words, (*words[:3], "b/part", *words[4:]), can):
        told = run_cli(*text, code=2).stderr
        assert "must not be or contain the input b/" in told
    assert len(list((here / "b").iterdir())) == 4
    (here / "b").rename(here / "to")
    for number, path in enumerate(sorted((here / "to").iterdir())):
        path.rename(here / "to" / f"probs-{number:05d}.npy")  # as commands call them
    words = ("can", "a.npy", "--prior", "uniform", "-o", "to/", "--overwrite")
    run_cli(*words, "--reference", "to/", code=2)
    run_cli(*words)
    assert len(postproc.load_predictions("to").scores) == N


HOLDING = ("../../x/../", "{}/")


@pytest.mark.parametrize("output", ["./", "../", *HOLDING])
def test_the_folder_that_a_command_runs_in_is_no_output(here, run_cli, monkeypatch, output):
    for folder in ("in/side", "x"):
        (here / folder).mkdir(parents=True)
    monkeypatch.chdir(here / "in/side")
    words = ("can", here / "a.npy", "--prior", "uniform", "-o", output.format(here), "--overwrite")
    told = run_cli(*words, code=2 if output in HOLDING else 1).stderr
    said = (
        "must not be or contain the input"
        if output in HOLDING
        else "is or contains the current folder"
    )
    assert said in told
    assert (here / "a.npy").exists()


def test_folders_name_their_outputs_in_full(here, run_cli):
    (here / "a").rename(here / "run.v2")
    run_cli("can", "run.v2", "--prior", "uniform")
    assert (here / "run.v2.can.npy").exists()


@pytest.mark.parametrize(("suffix", "package"), [(".parquet", "pyarrow"), (".zarr", "zarr")])
def test_a_format_without_its_package_is_refused_at_once(
    here, run_cli, monkeypatch, suffix, package
):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("cli.run.normalized.fit_can", None)  # no work is begun
    told = run_cli("can", "a.npy", "--prior", "uniform", "-o", f"q{suffix}", code=1).stderr
    assert told.startswith(f"Error: q{suffix}: {suffix} needs {package}; pip install ")


def test_files_to_fit_to_do_not_take_the_place_of_targets_in_the_job(here, run_cli):
    words = (*JOBS["weights"], "-o", "out.npy")
    drive(*words, at=5, action="raise KeyboardInterrupt", code=1)
    os.utime("b.npy", ns=(1, 1))
    told = run_cli(*words, "--resume", code=1).stderr
    assert "`inputs[1][1].mtime` was " in told


def test_finished_blocks_that_are_not_used_are_told_of(here, run_cli):
    words = (*JOBS["can"], "-o", "out.npy")
    drive(*words, at=5, action="raise KeyboardInterrupt", code=1)
    said = "discarded 5 finished blocks of a stopped job; --resume would have kept them"
    assert run_cli(*words).stderr.count(f"Warning: {said}\n") == 1


@pytest.mark.parametrize("at", [0, 5])
@pytest.mark.parametrize("error", ["RuntimeError('no device')", "ImportError('no module')"])
def test_other_errors_of_a_part_keep_what_is_finished(here, at, error):
    done = drive(*JOBS["can"], "-o", "out.npy", at=at, action=f"raise {error}", code=1)
    name, said = error[:-2].split("('")
    if at:
        said = f"{name}: {said}; stopped after 5 of 20 blocks, which are kept; resume with --resume"
    *above, last = done.stderr.splitlines()
    if name == "ImportError":  # something that is not installed
        code = "PP107" if at else "PP105"
        assert (above, last) == ([], f"Error: {said} [{code}]")
    else:
        assert above[0].startswith("Traceback")
        assert above[-1].endswith(f"Error: {said}")
        assert last == REPORT
    assert Path(".out.npy.partial").exists() == (at > 0)


def test_an_input_that_changes_behind_the_job_is_noticed_at_its_end(here, run_cli, monkeypatch):
    import postproc.jobs.write

    plain, changed = postproc.jobs.write.WritePart.__call__, ["a.val.npy"]

    def call(self, rows):
        found = plain(self, rows)
        if rows.stop == N:
            os.utime(changed[0], ns=(1, 1))
        return found

    monkeypatch.setattr(postproc.jobs.write.WritePart, "__call__", call)
    run_cli(*JOBS["calibrate"], "-o", "out.npy")  # what was fitted to has had its effect
    changed[0] = "a.npy"
    told = run_cli(*JOBS["calibrate"], "-o", "new.npy", code=1).stderr
    assert "a.npy: the file was written to while it was read" in told
    assert not list(here.glob("*new.npy*"))
