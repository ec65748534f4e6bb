"""What commands say where only some files have names of classes or rows."""

import json

import numpy as np
import pytest

from postproc import load_predictions, save_predictions, softmax

NAMES = ("a", "b", "c")
N_ROWS = 60


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Files of one task, some with names; b has its columns in another order."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, N_ROWS)
    probs = softmax(2 * np.eye(3)[y] + rng.normal(size=(N_ROWS, 3)))
    ids = [f"r{row}" for row in range(N_ROWS)]
    np.save("L.npy", probs)
    np.save("M.npy", probs[:, ::-1])
    save_predictions("b.csv", probs[:, [2, 0, 1]], classes=("c", "a", "b"))
    save_predictions("c.csv", probs, classes=NAMES)
    save_predictions("d.csv", probs, classes=NAMES, ids=ids)
    np.save("y.npy", y)
    return tmp_path


def warnings(result):
    said = [line for line in result.stderr.splitlines() if "assumed to be in the order" in line]
    assert all(line.startswith("Warning: ") for line in said)
    return [line.removeprefix("Warning: ") for line in said]


COLUMNS = "has no class names: its columns are assumed to be in the order of"
ROWS = "no row ids: {} rows are assumed to be in the order of d.csv"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("L", "b"), [f"L.npy {COLUMNS} b.csv"]),
        (("b", "L", "c"), [f"L.npy {COLUMNS} b.csv"]),
        (
            ("L", "b", "M"),
            [f"L.npy, M.npy {COLUMNS} b.csv".replace("has", "have").replace("its", "their")],
        ),
        (("c", "d"), [f"c.csv has {ROWS.format('its')}"]),
        (("L", "d"), [f"L.npy {COLUMNS} d.csv", f"L.npy has {ROWS.format('its')}"]),
        (("b", "c"), []),
        (("L", "M"), []),
    ],
)
def test_members_of_which_only_some_have_names(here, run_cli, files, said):
    words = ("ensemble", "soft", *files, "-o", "out.npy", "--overwrite")
    assert warnings(run_cli(*words)) == said
    assert run_cli(*words, "--quiet").stderr == ""
    if "d" in files:  # the labels have no ids either
        said = [*said, "y.npy has " + ROWS.format("its").replace("d.csv", "the predictions")]
    assert warnings(run_cli("report", *files, "--labels", "y")) == said


def test_names_beside_a_file_are_names(here, run_cli):
    (here / "classes.txt").write_text("a\nb\nc\n")
    assert run_cli("ensemble", "soft", "L", "b", "-o", "out.npy").stderr == ""
    (here / "classes.txt").unlink()
    (here / "names.txt").write_text("a\nb\nc\n")
    words = ("L", "b", "--classes", "names.txt", "-o", "other.npy")
    assert run_cli("ensemble", "soft", *words).stderr == ""


@pytest.mark.parametrize(
    ("target", "fit", "said"),
    [
        ("b", "L", [f"L.npy {COLUMNS} b.csv"]),
        ("L", "b", [f"L.npy {COLUMNS} b.csv"]),
        ("d", "c", []),
        ("L", "M", []),
    ],
)
@pytest.mark.parametrize("command", ["calibrate", "adapt", "can"])
def test_target_and_other_rows_of_which_one_has_names(here, run_cli, command, target, fit, said):
    other = ("--reference", fit, "--prior", "1,1,1")
    if command != "can":
        other = ("--fit", fit, "--fit-labels", "y")
    words = (command, target, *other, "-o", "out.npz", "--overwrite")
    assert warnings(run_cli(*words)) == said
    assert warnings(run_cli(*words, "--quiet")) == []


@pytest.mark.parametrize(
    ("target", "fit", "said"),
    [
        (("c", "d"), ("L", "M"), "L.npy, M.npy have no class names: their columns are assumed"),
        (("L", "M"), ("c", "d"), "L, M have no class names: their columns are assumed"),
    ],
)
def test_members_and_fit_of_which_one_has_names(here, run_cli, target, fit, said):
    fits = [word for each in fit for word in ("--fit", each)]
    words = ("ensemble", "greedy", *target, *fits, "--fit-labels", "y", "-o", "out.npz")
    assert any(said in line for line in warnings(run_cli(*words)))


@pytest.mark.parametrize(("fit", "names"), [("b", True), ("L", False)])
@pytest.mark.parametrize("method", ["calibrate", "ensemble"])
def test_apply_tells_names_that_only_the_model_has(here, run_cli, method, fit, names):
    target = "L" if names else "b"
    teach = ("--fit", fit, "--fit-labels", "y", "-o", "made.npz", "--save", "model.json")
    words = ("calibrate", fit) if method == "calibrate" else ("ensemble", "greedy", fit)
    run_cli(*words, *teach)
    expected = f"L.npy {COLUMNS} model.json" if names else f"model.json {COLUMNS} b.csv"
    result = run_cli("apply", "model.json", target, "-o", "out.npz", "--json")
    assert warnings(result) == [expected]
    json.loads(result.stdout)
    assert warnings(run_cli("apply", "model.json", fit, "-o", "own.npz")) == []


@pytest.mark.parametrize(
    "words",
    [
        ("calibrate", "target.npz", "--fit", "{}", "--fit-labels", "y.txt"),
        ("adapt", "target.npz", "--fit", "{}", "--fit-labels", "y.txt"),
        ("can", "target.npz", "--reference", "{}", "--prior", "uniform", "--iterations", "2"),
    ],
    ids=lambda words: words[0],
)
def test_the_order_of_columns_of_other_rows_changes_no_bit(tmp_path, monkeypatch, run_cli, words):
    monkeypatch.chdir(tmp_path)
    rng, names = np.random.default_rng(0), np.array([f"c{c}" for c in range(12)])
    y, order = rng.integers(12, size=300), rng.permutation(12)
    for split in ("target", "fit"):
        probs = softmax(3 * np.eye(12)[y] + 2 * rng.normal(size=(300, 12)))
        save_predictions(f"{split}.npz", probs, classes=names)
    save_predictions("moved.npz", probs[:, order], classes=names[order])
    (tmp_path / "y.txt").write_text("\n".join(names[y]))
    for file in ("fit", "moved"):
        run_cli(*(word.format(f"{file}.npz") for word in words), "-o", f"from_{file}.npy")
    wanted = (tmp_path / "from_fit.npy").read_bytes()
    assert (tmp_path / "from_moved.npy").read_bytes() == wanted


def test_numbers_as_headings_are_no_names(here, run_cli):
    """A table of classes without names has headings 0, 1, 2; an array without any says as much."""
    scores = np.load("L.npy")
    save_predictions("numbers.csv", scores, ids=[f"r{row}" for row in range(N_ROWS)])
    save_predictions("array.npz", scores, ids=[f"r{row}" for row in range(N_ROWS)])
    for pair in (("numbers.csv", "array.npz"), ("array.npz", "numbers.csv")):
        words = ("ensemble", "soft", *pair, "-o", "out.csv", "--overwrite")
        assert run_cli(*words).stderr == ""
    save_predictions("moved.csv", scores[:, [2, 0, 1]], classes=("2", "0", "1"))
    told = run_cli("ensemble", "soft", "L.npy", "moved.csv", "-o", "other.csv")
    assert told.stderr == "Warning: moved.csv: its columns are put in the order of their numbers\n"


def test_containers_keep_the_names_of_classes(here, run_cli):
    run_cli("convert", "d.csv", "-o", "d.npz")
    run_cli("can", "d.npz", "--prior", "uniform", "-o", "can.npz")
    for path in ("d.npz", "can.npz"):
        loaded = load_predictions(path)
        assert loaded.classes == NAMES
        assert loaded.ids[3] == "r3"


def test_labels_of_other_rows_are_told_once_and_only_where_they_are_unusual(here, run_cli):
    """A table of all labels is looked up by the ids of both splits."""
    scores, ids = np.load("L.npy"), [f"r{row}" for row in range(N_ROWS)]
    half = N_ROWS // 2
    save_predictions("fit.csv", scores[:half], classes=NAMES, ids=ids[:half])
    save_predictions("new.csv", scores[half:], classes=NAMES, ids=ids[half:])
    rows = zip(ids, np.load("y.npy"), strict=True)
    lines = "".join(f"{name},{NAMES[label]}\n" for name, label in rows)
    for name in ("all.csv", "copy.csv"):
        (here / name).write_text("id,label\n" + lines)
    fit = ("calibrate", "new.csv", "--fit", "fit.csv", "--fit-labels", "all.csv")
    told = "30 of 60 labels are of rows without predictions"
    assert told not in run_cli(*fit, "-o", "o1.csv").stderr
    assert told not in run_cli(*fit, "--labels", "all.csv", "-o", "o2.csv").stderr
    said = run_cli(*fit, "--labels", "copy.csv", "-o", "o3.csv").stderr
    assert said.count(told) == 1
    assert run_cli("report", "new.csv", "--labels", "all.csv").stderr.count(told) == 1
