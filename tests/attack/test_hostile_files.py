"""Files from strangers: one line that names the file, little memory, nothing written."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import postproc
from cli.main import main

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(3), 60)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with good predictions and labels, which is the current one."""
    monkeypatch.chdir(tmp_path)
    np.save("p.npy", PROBS)
    np.save("y.npy", np.arange(60) % 3)
    return tmp_path


def run(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def refused(*words):
    """The error of a command that must fail in one line and write nothing."""
    before = set(Path().iterdir())
    found = run(*words)
    assert found.exit_code in (1, 2), found.output
    lines = [line for line in found.stderr.splitlines() if not line.startswith("Warning")]
    assert len(lines) == 1, found.stderr
    assert set(Path().iterdir()) == before
    return lines[0]


def zipped(path, folder):
    np.savez_compressed(path, scores=np.zeros((2**24, 5)))


def packed(path, folder):
    with gzip.open(path, "wt") as file:
        file.write("a,b\n" + "0" * 2**24 + "\n")


def encoded(path, folder):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    column = pa.array(np.full(2**26, 0.5))
    parquet.write_table(pa.table({"a": column, "b": column}), path)


def repeated(path, folder):
    torch = pytest.importorskip("torch")
    torch.save(torch.zeros(1, 3).expand(2**40, 3), path)


BOMBS = {
    "bomb.npz": (zipped, "would take 0.6 GiB of memory"),
    "bomb.csv.gz": (packed, "line 2 is longer than 16,777,216 characters"),
    "bomb.parquet": (encoded, "would take 1.0 GiB of memory"),
    "bomb.pt": (repeated, "save tensor.clone()"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_small_files_that_would_fill_the_memory_are_refused(name, folder):
    make, reason = BOMBS[name]
    make(folder / name, folder)
    assert reason in refused("can", name, "--prior", "uniform")


@pytest.mark.parametrize(
    "words",
    [
        ("can", "pipe.npy", "--prior", "uniform"),
        ("can", "p.npy", "--prior", "pipe.npy"),
        ("can", "p.npy", "--prior", "uniform", "--config", "pipe.npy"),
        ("report", "p.npy", "--labels", "pipe.npy"),
        ("apply", "pipe.npy", "p.npy", "-o", "o.npy"),
        ("report", "p.npy", "--labels", "y.npy", "--classes", "pipe.npy"),
    ],
)
def test_pipes_are_refused_as_what_they_are(words, folder):
    os.mkfifo("pipe.npy")
    message = refused(*words)
    assert "pipe.npy: must be a regular file, got a pipe or a device" in message


ESCAPES = {"colour": "\x1b[31mred", "bell": "b\x07ell", "title": "\x9b2J", "turned": "\u202eabc"}


@pytest.mark.parametrize("name", ESCAPES)
def test_names_do_not_steer_the_terminal(name, folder):
    hostile = ESCAPES[name]
    file = f"{hostile}.csv"
    rows = [f"r{row}{hostile}," + ",".join(map(repr, map(float, p))) for row, p in enumerate(PROBS)]
    (folder / file).write_text("\n".join([f"id,{hostile},b,c", *rows, ""]), encoding="utf-8")
    outputs = []
    for words in (
        ("inspect", file),
        ("report", file, "p.npy", "--labels", "y.npy", "--per-class"),
        ("can", file, "--prior", "uniform", "-o", f"{hostile}.out.csv"),
        ("can", file, "--prior", "uniform", "-o", f"{hostile}.out.csv"),  # exists
        ("report", file, "--labels", f"{hostile}.npy"),  # does not exist
        ("report", file, "p.npy", "--labels", "y.npy", "--html", "page.html"),
    ):
        found = run(*words)
        outputs.append(found.stdout + found.stderr)
    outputs.append((folder / "page.html").read_text(encoding="utf-8"))
    for output in outputs:
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(output)
    assert hostile in (folder / f"{hostile}.out.csv").read_text(encoding="utf-8")  # unchanged


def test_names_that_are_not_utf8_are_shown(folder):
    name = os.fsdecode(b"n\xff.npy")
    np.save(name, PROBS)
    found = run("report", name, "--labels", "y.npy", "--html", "page.html")
    assert found.exit_code == 0, found.output
    assert "n\\udcff" in (folder / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "prior", ["1e308,1e308,1e308", "1e308,1,1", "1e-320,1e-320,1e-320", "5e-324,0,0"]
)
def test_priors_of_any_size_are_divided_by_their_sum(prior, folder):
    scaled = np.array([float(share) / float(prior.split(",")[0]) for share in prior.split(",")])
    both = []
    for number, given in enumerate((prior, ",".join(map(repr, map(float, scaled))))):
        assert run("can", "p.npy", "--prior", given, "-o", f"{number}.npy").exit_code == 0
        both.append(np.load(f"{number}.npy"))
    np.testing.assert_allclose(*both, atol=1e-12)


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "csv.gz", "pt", "parquet", "jsonl"])
def test_the_same_command_writes_the_same_bytes(suffix, folder):
    written = []
    for number in range(2):
        output = folder / f"{number}" / f"out.{suffix}"
        output.parent.mkdir()
        assert run("can", "p.npy", "--prior", "uniform", "-o", output).exit_code == 0
        written.append(output.read_bytes())
    assert written[0] == written[1]


def test_the_same_report_is_the_same_page(folder):
    np.save("q.npy", PROBS[:, ::-1])
    for name in ("a.html", "b.html"):
        assert run("report", "p.npy", "q.npy", "--labels", "y.npy", "--html", name).exit_code == 0
    assert (folder / "a.html").read_bytes() == (folder / "b.html").read_bytes()


def test_labels_with_invalid_characters_are_one_line(folder):
    labels = np.zeros(60, "<U2")
    labels.view(np.uint32)[:] = 0x7FFFFFFF
    np.save("bad.npy", labels)
    assert "bad.npy" in refused("report", "p.npy", "--labels", "bad.npy")


def test_deep_nesting_names_the_file(folder):
    (folder / "deep.json").write_text("[" * 100_000)
    configured = ("can", "p.npy", "--prior", "uniform", "--config", "deep.json")
    for words in (("apply", "deep.json", "p.npy"), configured):
        assert "deep.json" in refused(*words, "-o", "o.npy")
    (folder / "deep.jsonl").write_text("[" * 100_000 + "\n")
    assert "deep.jsonl" in refused("can", "deep.jsonl", "--prior", "uniform")


@pytest.mark.slow
def test_a_table_that_unpacks_to_gigabytes_takes_little_memory(folder):
    with gzip.open("bomb.csv.gz", "wt") as file:
        file.write("a,b\n")
        for _ in range(100):
            file.write("0.5,0.5\n" * 10**6)
    code = "from cli.main import main; main()"
    words = ["can", "bomb.csv.gz", "--prior", "uniform"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "of memory; such a file is damaged" in done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1.5 * 2**20


def test_an_array_that_claims_a_billion_rows_takes_little_memory(folder):
    zarr = pytest.importorskip("zarr")
    zarr.create_array("claims.zarr", shape=(10**9, 3), chunks=(10, 3), dtype="f8")
    message = refused("can", "claims.zarr", "--prior", "uniform")
    assert "its metadata claim 100,000,000 chunks, more than 1,000,000" in message


@pytest.mark.parametrize(
    ("line", "words", "reason"),
    [
        ("0" * (2**24 + 1), ("--labels",), "line 1 is longer than 16,777,216 characters"),
        ("0" * (2**24 + 1), ("--labels", "y.npy", "--classes"), "line 1 is longer than"),
        ("0" * 2**22, ("--labels",), "a name or label has 4,194,304 characters"),
    ],
)
def test_long_lines_of_labels_and_names_are_refused(line, words, reason, folder):
    (folder / "long.txt").write_text(line + "\n1" * 59 + "\n")
    assert reason in refused("report", "p.npy", *words, "long.txt")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("y.txt", "0" * 10**5 + "x\n", ("report", "p.npy", "--labels", "y.txt")),
        ("q.csv", f"{'c' * 10**5},b\n1,2\n", ("report", "p.npy", "--labels", "q.csv")),
    ],
)
def test_messages_that_quote_a_file_are_short(name, content, words, folder):
    (folder / name).write_text(content)
    message = refused(*words)
    assert len(message) < 1000
    assert name in message


def test_tables_of_many_classes_are_read(folder):
    """Their lines are longer than a cell may be."""
    probs = RNG.dirichlet(np.ones(12_000), 2)
    postproc.save_predictions("many.csv", probs)
    np.testing.assert_allclose(postproc.load_predictions("many.csv").scores, probs)


@pytest.mark.parametrize(
    "words", [("can", "wide.csv.gz", "--prior", "uniform"), ("report", "p.npy", "--labels", "wide")]
)
def test_tables_of_endless_rows_are_refused(words, folder):
    with gzip.open("wide.csv.gz", "wt") as file:
        for _ in range(12):
            file.write("0," * 2**19 + "0\n")
    assert "line 1 has more than 262,144 cells" in refused(*words)


@pytest.mark.slow
def test_packed_labels_take_little_memory(folder):
    with gzip.open("y.csv.gz", "wt") as file:
        for _ in range(4):
            file.write("0\n" * 10**6)
    assert "GiB of memory; such a file is damaged" in refused(
        "report", "p.npy", "--labels", "y.csv.gz"
    )


@pytest.mark.parametrize("name", ["a\0", "a\0b"])
def test_names_that_arrays_cannot_hold_are_refused(name, folder):
    (folder / "classes.txt").write_text(f"{name}\nb\nc\n")
    rows = [f"r{row}{name}," + ",".join(map(repr, map(float, p))) for row, p in enumerate(PROBS)]
    (folder / "ids.csv").write_text("\n".join(["id,a,b,c", *rows, ""]))
    (folder / "classes.csv").write_text(
        "\n".join([f"id,{name},b,c", *rows, ""]).replace("\0,", ",")
    )
    for words in (("p.npy", "--classes", "classes.txt"), ("ids.csv",)):
        assert "must be text without NUL characters" in refused("can", *words, "--prior", "uniform")
    with pytest.raises(ValueError, match="class names of scores` must be text without NUL"):
        postproc.TemperatureScaling().fit(PROBS, np.arange(60) % 3, classes=[name, "b", "c"])


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_carriage_returns_in_names_come_back(suffix, folder):
    """Some versions of Python write them without quotes, and then they end the row."""
    mark = b"," if suffix == "csv" else b"\t"
    names, ids = ["a\rx", "b", "c"], [f"r\r{row}" for row in range(60)]
    postproc.save_predictions(f"named.{suffix}", PROBS, classes=names, ids=ids)
    loaded = postproc.load_predictions(f"named.{suffix}")
    assert (list(loaded.classes), loaded.ids.tolist()) == (names, ids)
    np.testing.assert_allclose(loaded.scores, PROBS)
    assert run("decide", f"named.{suffix}", "-o", f"labels.{suffix}").exit_code == 0
    found = postproc.load_labels(f"labels.{suffix}", n_classes=3, classes=names, ids=loaded.ids)
    np.testing.assert_array_equal(found, PROBS.argmax(axis=1))
    Path(f"texts.{suffix}").write_bytes(b'text,note\none two,"x\ry"\n'.replace(b",", mark))
    done = run("augment", f"texts.{suffix}", "-o", f"more.{suffix}", "-k", "2")
    assert done.exit_code == 0, done.output
    assert Path(f"more.{suffix}").read_bytes().count(mark + b'"x\ry"') == 2
