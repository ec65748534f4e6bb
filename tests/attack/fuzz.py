"""Damaged and hostile files: each is read, or refused in one line that names it.

By hand, from the root: `python -m tests.attack.fuzz --seconds 600 --seed 1`, with `--only PART` for
the subjects whose name begins so.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import shutil
import signal
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

import ensemble
import postproc
from cli.main import main
from cli.messages import is_expected
from ensemble.bench.protocol import CellKey
from ensemble.bench.records import RecordsFile
from postproc.can.options import load_can_options, save_can_options
from postproc.files.costs import load_costs
from postproc.files.labels import load_class_names, load_ids
from postproc.jobs.journal import Journal
from postproc.scores.checks import fail, one_line
from tests.attack.guided import MEMORY
from tests.attack.models import KINDS, N_CLASSES, Kind, check_use
from tests.ensemble.conftest import make_members

#: Seconds of this process that reading a small file may take.
MOST_SECONDS = 20

Content = dict[str, bytes]


@dataclass(frozen=True)
class Subject:
    """Small files, and what reads them; it raises an AssertionError for a wrong result."""

    make: Callable[[Path], None]
    read: Callable[[Path], None]
    writes: bool = False


class Folder:
    """A folder for the files of a subject; only those that differ are written again."""

    def __init__(self, path: Path) -> None:
        self.path, self.holds = path, Content()
        self.path.mkdir(parents=True, exist_ok=True)

    def fill(self, content: Content) -> None:
        """Write the files of a subject, and remove those of the last one."""
        for name in self.holds.keys() - content.keys():
            (self.path / name).unlink()
        for name, data in content.items():
            if self.holds.get(name) != data:
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                (self.path / name).write_bytes(data)
        self.holds = content

    def clear(self) -> None:
        """Remove everything, as after a reader that writes."""
        shutil.rmtree(self.path)
        self.path.mkdir()
        self.holds = {}


RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(3), 8)
LABELS = np.arange(8) % 3


def predictions(name: str, **contents: Any) -> Subject:
    """Predictions under a name, read as such and by a command that writes them again."""

    def make(folder: Path) -> None:
        postproc.save_predictions(folder / name, PROBS, **contents)

    return Subject(make, lambda folder: check_probs(postproc.load_predictions(folder / name)))


def check_probs(loaded: Any) -> None:
    """Probabilities of what was loaded must be finite."""
    assert np.isfinite(np.asarray(loaded.probabilities())).all()


def labels(name: str, write: Callable[[Path], None], **options: Any) -> Subject:
    """Labels under a name; they lie among the classes."""

    def read(folder: Path) -> None:
        found = postproc.load_labels(folder / name, n_classes=3, **options)
        assert np.isin(found, range(3)).all()

    return Subject(lambda folder: write(folder / name), read)


def zarr(folder: Path) -> None:
    """A Zarr array with two chunks."""
    import zarr

    array = zarr.create_array(str(folder / "p.zarr"), shape=(8, 3), chunks=(4, 3), dtype="f8")
    array[:] = PROBS


def text(name: str, content: str) -> Callable[[Path], None]:
    """Writes a text file."""

    def make(folder: Path) -> None:
        (folder / name).write_text(content, encoding="utf-8")

    return make


def scores(folder: Path) -> None:
    """Rows of three numbers, for what tells the kind of scores."""
    PROBS.astype(np.float32).tofile(folder / "scores.bin")


def read_scores(folder: Path) -> None:
    """Scores in memory are of a kind, and make probabilities."""
    data = (folder / "scores.bin").read_bytes()
    dtype = ("<f4", "<f8", "<f2", "<i4", "u1")[len(data) % 5]
    values = np.frombuffer(data[: len(data) // 24 * 24], dtype)
    array, kind = postproc.check_scores(values.reshape(-1, 3), name=str(folder / "scores.bin"))
    check_probs(postproc.Predictions(array, kind))
    logs = postproc.log_probabilities(array, kind)
    assert np.isfinite(logs).all()


CELL = {"task": "t", "model": "m", "scope": "member", "shift": "none", "method": "soft"}
COUNTED = {"n": [8], "right": [5], "baseline": [4], "fixed": [2], "broken": [1], "error": None}
HEADER = {"format": 1, "seed": 0, "draws": 1, "tasks": [{"name": "t"}]}


def results(folder: Path) -> None:
    """A results file of a benchmark, with its times."""
    text("bench.jsonl", f"{json.dumps(HEADER)}\n{json.dumps(CELL | COUNTED)}\n")(folder)
    times = CELL | {"seconds": [0.1], "fit_seconds": 0.2}
    text("bench.seconds.jsonl", json.dumps(times) + "\n")(folder)


def read_results(folder: Path) -> None:
    """Results are counts of rows."""
    key = CellKey(*(CELL[name] for name in CellKey._fields))
    with RecordsFile.open(folder / "bench.jsonl", HEADER, [key]) as file:
        for result in file.results():
            assert 0 <= result.accuracy <= 1
            assert -1 <= result.gain <= 1
            json.dumps(result.to_dict(), allow_nan=False)


def journal(folder: Path) -> None:
    """A journal with two blocks."""
    kept = Journal.begin(folder / "journal.jsonl", {"n": 8})
    for block in range(2):
        kept.note(block, 7, {"rows": 4, "mass": np.ones(3)})


def read_journal(folder: Path) -> None:
    """Blocks of a journal that are finished have statistics."""
    try:
        kept = Journal.open(folder / "journal.jsonl", {"n": 8})
    except ValueError as error:  # whoever opens it says whose it is
        fail(str(folder / "journal.jsonl"), "one to resume", str(error))
    list(kept.stats(list(kept.finished)))


SHORT = {"classes": ["a", "b", "é"], "ids": [f"r{row}" for row in range(8)]}
ID_LABELS = "id,label\n" + "".join(f"r{row},{'abc'[row % 3]}\n" for row in range(8))
SUBJECTS = {
    **{f"p.{suffix}": predictions(f"p.{suffix}") for suffix in ("npy", "npz", "pt")},
    **{
        f"named {suffix}": predictions(f"p.{suffix}", **SHORT)
        for suffix in ("npz", "csv", "tsv", "csv.gz", "jsonl", "parquet", "safetensors")
    },
    "zarr": Subject(zarr, lambda folder: check_probs(postproc.load_predictions(folder / "p.zarr"))),
    "y.npy": labels("y.npy", lambda path: np.save(path, LABELS)),
    "y text": labels(
        "y.npy", lambda path: np.save(path, np.array(list("abc"))[LABELS]), classes=list("abc")
    ),
    "y.csv": labels("y.csv", lambda path: path.write_text(ID_LABELS), classes=list("abc")),
    "y.txt": labels("y.txt", lambda path: path.write_text("0\n1\n2\n" * 3)),
    "classes.txt": Subject(
        text("classes.txt", "a\nb\né\n"), lambda folder: load_class_names(folder / "classes.txt")
    ),
    "ids.txt": Subject(text("ids.txt", "r1\nr2\n"), lambda folder: load_ids(folder / "ids.txt")[0]),
    "costs.csv": Subject(
        text("costs.csv", ",a,b,c,abstain\na,0,1,2,.5\nb,1,0,1,.5\nc,2,1,0,.5\n"),
        lambda folder: load_costs(folder / "costs.csv", n_classes=3, classes=list("abc")),
    ),
    "prior.txt": Subject(
        text("prior.txt", "0.5\n0.25\n0.25\n"),
        lambda folder: postproc.files.load_prior(str(folder / "prior.txt"), n_classes=3),
    ),
    "can.json": Subject(
        lambda folder: save_can_options(folder / "can.json", postproc.can.options.CANOptions()),
        lambda folder: load_can_options(folder / "can.json"),
    ),
    "kinds": Subject(scores, read_scores),
    "bench.jsonl": Subject(results, read_results, writes=True),
    "journal.jsonl": Subject(journal, read_journal, writes=True),
}


def model(kind: Kind, inline: int) -> Subject:
    """A fitted model, which predicts probabilities or decides."""

    def save(folder: Path) -> None:
        ensemble.save_model(kind.fitted(), folder / "m.json", most_inline=inline)

    return Subject(save, lambda folder: check_use(ensemble.load_model(folder / "m.json"), kind))


for inline, how in ((10**6, ""), (0, " with arrays")):
    for name, each in KINDS.items():
        SUBJECTS[f"model {name}{how}"] = model(each, inline)

#: Values in the place of others in JSON.
HOSTILE: list[Any] = [None, True, -1, 0, 2, 10**30, 1e308, 1e-320, 0.5, "", "x", [], {}, [1]]
HOSTILE += ["\x00", "\x1b[31m", "\ud800", [[]], [None], {"type": "Voting"}, {"float": "nan"}]
HOSTILE += [{"float": "inf"}, {"float": []}, {"array": [1e308], "dtype": "<f8", "shape": [1]}]
HOSTILE += [{"array": "AAAA", "dtype": "O"}, {"array": [1], "dtype": "<f8", "shape": [-1]}]
HOSTILE += [{"array": [], "dtype": "<f8", "shape": [0]}, {"dict": [1]}, {"npz": "x"}]
HOSTILE += [{"array": ["x"], "dtype": "<U1", "shape": [1]}, {"dict": [[[], 1]]}]

#: Pieces that text and headers are spoiled with.
PIECES = [b"\x00", b"\xff", b"\n", b",", b'"', b"\t", b"-1", b"1e999", b"nan", b"[", b"{", b"}"]
PIECES += [b"99999999999999999999", b"\xef\xbb\xbf", b"\xc3", b"0" * 400, b"\x1b[2J", b"\x80\x02."]


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value but its root."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    found = []
    for key, value in node.items() if isinstance(node, dict) else ():
        found += [(*path, key), *places(value, (*path, key))]
    return found


def spoil_json(node: Any, rng: np.random.Generator) -> Any:
    """A JSON value with one place replaced, removed, doubled or scaled."""
    found = places(node)
    if not found:
        return HOSTILE[rng.integers(len(HOSTILE))]
    *path, last = found[rng.integers(len(found))]
    inside = node
    for key in path:
        inside = inside[key]
    what = rng.integers(6)
    if what == 0:
        del inside[last]
    elif what == 1 and isinstance(inside, list):
        inside.insert(last, inside[last])
    elif what == 2 and isinstance(inside[last], int | float):
        inside[last] = inside[last] * float(rng.choice([-1, 0, 1e-300, 1e3, 1e90]))
    elif what == 3:
        *path, other = found[rng.integers(len(found))]
        source = node
        for key in path:
            source = source[key]
        inside[last] = json.loads(json.dumps(source[other]))
    else:
        inside[last] = HOSTILE[rng.integers(len(HOSTILE))]
    return node


def spoil_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with one to four places changed."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at, other = rng.integers(len(found) + 1, size=2)
        low, high = sorted((at, min(other, at + 40)))
        what = rng.integers(6)
        if what == 0:
            del found[low:high]
        elif what == 1:
            found[at:at] = found[low:high]
        elif what == 2:
            found[at:at] = PIECES[rng.integers(len(PIECES))]
        elif what == 3:
            piece = PIECES[rng.integers(len(PIECES))]
            found[at : at + len(piece)] = piece
        elif what == 4 and rng.random() < 0.2:
            del found[at:]
        elif at < len(found):
            found[at] = (
                rng.integers(256) if rng.random() < 0.5 else found[at] ^ 1 << rng.integers(8)
            )
    return bytes(found)


def spoil_zip(data: bytes, rng: np.random.Generator) -> bytes:
    """An archive with one of its files spoiled, and right checksums."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = [(entry, archive.read(entry)) for entry in archive.infolist()]
    at = rng.integers(len(files))
    files[at] = files[at][0], spoil_bytes(files[at][1], rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for entry, content in files:
            archive.writestr(entry.filename, content)
    return stream.getvalue()


def spoil(name: str, data: bytes, rng: np.random.Generator) -> bytes:
    """The content of a file, spoiled within its format or as bytes."""
    if rng.random() < 0.3:
        return spoil_bytes(data, rng)
    if name.endswith(".json"):
        return json.dumps(spoil_json(json.loads(data), rng)).encode()
    if name.endswith(".jsonl"):
        lines = data.splitlines()
        at = rng.integers(len(lines))
        lines[at] = json.dumps(spoil_json(json.loads(lines[at]), rng)).encode()
        return b"\n".join([*lines, b""])
    if name.endswith(".gz"):
        return gzip.compress(spoil_bytes(gzip.decompress(data), rng), 1)
    if name.endswith((".npz", ".pt")):
        return spoil_zip(data, rng)
    return spoil_bytes(data, rng)


def made(subject: Subject, folder: Path) -> Content:
    """The files of a subject by their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject.make(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def attack(subject: Subject, content: Content, folder: Folder, rng: np.random.Generator) -> str:
    """Read a mutant of a subject; how it ended. An AssertionError says what is wrong."""
    name = list(content)[rng.integers(len(content))]
    spoiled = spoil(name, content[name], rng)
    return judge(subject, content, name, spoiled, folder, applied=rng.random() < 0.02)


def judge(
    subject: Subject, content: Content, name: str, data: bytes, folder: Folder, *, applied: bool
) -> str:
    """How reading a subject ends with other data in one of its files."""
    spoiled = {**content, name: data}
    if name.endswith(".arrays.npz"):  # a hostile model has the right digest
        old, new = (hashlib.sha256(files[name]).hexdigest() for files in (content, spoiled))
        spoiled["m.json"] = content["m.json"].replace(old.encode(), new.encode())
    folder.fill(spoiled)
    try:
        with limited(MOST_SECONDS):
            subject.read(folder.path)
            if applied and "m.json" in content:
                apply(folder.path)
    except Exception as error:
        if isinstance(error, AssertionError):
            raise
        said = one_line(error)
        is_known = is_expected(error) and not isinstance(error, MemoryError)
        assert is_known, f"{type(error).__name__}: {said}"  # noqa: PT017
        assert str(folder.path) in said, f"names no file: {said}"
        assert len(said) < 1000, f"long: {said}"
        return type(error).__name__
    finally:
        if subject.writes or applied:
            folder.clear()
    return "read"


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise where this process works for longer; other processes may slow it down."""

    def too_long(number: int, frame: object) -> None:
        msg = f"takes more than {seconds} s"
        raise AssertionError(msg)

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def apply(folder: Path) -> None:
    """Apply a model by command: an output, or one line."""
    members, _ = make_members(seed=2, n_rows=10, n_classes=N_CLASSES)
    np.save(folder / "p.npy", members[0])
    words = ["apply", str(folder / "m.json"), str(folder / "p.npy"), "-o", str(folder / "o.npy")]
    found = CliRunner().invoke(main, words)
    assert found.exit_code in (0, 1, 2), found.stderr
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    is_written = found.exit_code == 0 or "; already written: " in found.stderr
    assert is_written == (folder / "o.npy").exists(), found.stderr
    if is_written:
        assert np.isfinite(np.load(folder / "o.npy")).all()


def place_of(error: Exception) -> str:
    """Where a fault has come from."""
    cause = error.__context__ or error
    where = traceback.extract_tb(cause.__traceback__)[-1]
    return f"{Path(where.filename).name}:{where.lineno}"


def run(seconds: float, seed: int, only: str = "") -> tuple[Counter[str], dict[str, str]]:
    """Attack for some seconds: counts of how it ended, and the first case of each fault."""
    rng, end = np.random.default_rng(seed), time.monotonic() + seconds
    counts: Counter[str] = Counter()
    faults: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=MEMORY) as root, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subjects = {name: each for name, each in SUBJECTS.items() if name.startswith(only)}
        contents: dict[str, Content] = {}
        folder = Folder(Path(root, "attacked"))
        while time.monotonic() < end:
            for name, subject in subjects.items():
                if name not in contents:
                    contents[name] = made(subject, Path(tempfile.mkdtemp(dir=root)))
                for _ in range(20):
                    try:
                        counts[attack(subject, contents[name], folder, rng)] += 1
                    except Exception as error:
                        counts["faults"] += 1
                        faults.setdefault(f"{name} {place_of(error)}", f"{name}: {error}")
                if time.monotonic() > end:
                    break
    return counts, faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    counts, faults = run(**vars(parser.parse_args()))
    print(f"{counts.total():,} files: {dict(counts)}")  # noqa: T201
    for place, fault in faults.items():
        print(place, fault)  # noqa: T201
    raise SystemExit(bool(faults))
