"""Files of labels and sets in every format, read back by the libraries that others use."""

import csv
import gzip
import json

import numpy as np
import pytest

from postproc.files import load_labels
from postproc.files.decided import (
    DECISION_SUFFIXES,
    Layout,
    save_labels,
    save_multilabels,
    save_sets,
)

CLASSES = ("cat", 'a "dog"', "fish, dried")
IDS = np.array(["x1", "x,2", "x3", "x4"])
BLOCKS = [np.array([0, 2]), np.array([1]), np.array([0])]
NAMES = ["cat", "fish, dried", 'a "dog"', "cat"]
SETS = np.array([[1, 0, 0], [1, 0, 1], [1, 1, 1], [0, 1, 0]], dtype=bool)


def table(path):
    """Header and rows of a table of text."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="", encoding="utf-8") as file:
        delimiter = "\t" if ".tsv" in path.name else ","
        return list(csv.reader(file, delimiter=delimiter))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".tsv.gz"])
def test_tables_hold_ids_and_names(tmp_path, suffix):
    path = save_labels(tmp_path / f"y{suffix}", BLOCKS, 4, Layout(CLASSES, IDS))
    assert table(path) == [["id", "label"], *map(list, zip(IDS.tolist(), NAMES, strict=True))]


@pytest.mark.filterwarnings("ignore:.*has no row ids")  # where the format keeps none
@pytest.mark.parametrize("suffix", DECISION_SUFFIXES)
def test_labels_can_be_read_as_labels(tmp_path, suffix):
    path = save_labels(tmp_path / f"y{suffix}", BLOCKS, 4, Layout(CLASSES, IDS))
    ids = None if suffix in (".npy", ".txt") else IDS
    labels = load_labels(path, n_classes=3, n_rows=4, classes=CLASSES, ids=ids)
    assert labels.tolist() == [0, 2, 1, 0]


def test_arrays_hold_integers_and_lines_hold_names(tmp_path):
    path = save_labels(tmp_path / "y.npy", BLOCKS, 4, Layout(CLASSES))
    assert (np.load(path).tolist(), np.load(path).dtype) == ([0, 2, 1, 0], np.int64)
    lines = save_labels(tmp_path / "y.txt", BLOCKS, 4, Layout(CLASSES, IDS))
    assert lines.read_text().splitlines() == NAMES


def test_columns_of_a_submission(tmp_path):
    path = save_labels(
        tmp_path / "y.csv",
        BLOCKS,
        4,
        Layout(CLASSES, IDS, True, {"id": "PassengerId", "label": "Target"}),
    )
    assert table(path)[:2] == [["PassengerId", "Target"], ["x1", "0"]]


def test_rows_that_are_abstained_from(tmp_path):
    blocks = [np.array([0, -1])]
    named = save_labels(tmp_path / "y.jsonl", blocks, 2, Layout(CLASSES))
    assert [json.loads(line) for line in named.read_text().splitlines()] == [
        {"label": "cat"},
        {"label": "abstain"},
    ]
    numbers = save_labels(tmp_path / "n.csv", blocks, 2, Layout())
    assert table(numbers) == [["label"], ["0"], ["-1"]]
    with pytest.raises(ValueError, match="none of which is called 'abstain', got one; write --int"):
        save_labels(tmp_path / "z.csv", blocks, 2, Layout(("abstain", "no")))


@pytest.mark.parametrize("integers", [False, True])
def test_sets_in_every_format(tmp_path, integers):
    pq = pytest.importorskip("pyarrow.parquet")
    names = [0, 1, 2] if integers else ["a", "b", "c"]
    wanted = [[names[j] for j in np.flatnonzero(row)] for row in SETS]
    how = (4, 3), Layout(("a", "b", "c"), IDS, integers)
    blocks = [SETS[:2], SETS[2:]]
    assert (np.load(save_sets(tmp_path / "s.npy", blocks, *how)) == SETS).all()
    rows = table(save_sets(tmp_path / "s.csv", blocks, *how))
    assert rows[0] == ["id", "size", "labels"]
    cells = ["|".join(map(str, each)) for each in wanted]
    assert rows[1:] == [[i, str(len(w)), c] for i, w, c in zip(IDS, wanted, cells, strict=True)]
    lines = save_sets(tmp_path / "s.jsonl", blocks, *how)
    assert [json.loads(line)["labels"] for line in lines.read_text().splitlines()] == wanted
    found = pq.read_table(save_sets(tmp_path / "s.parquet", blocks, *how)).to_pydict()
    assert found == {"id": IDS.tolist(), "size": [1, 2, 3, 1], "labels": wanted}


def test_names_that_cannot_be_separated_are_refused(tmp_path):
    blocks, how = [SETS], ((4, 3), Layout(("a|b", "c", "d")))
    with pytest.raises(ValueError, match=r"got a\|b; write .jsonl or .parquet, or --integers"):
        save_sets(tmp_path / "s.csv", blocks, *how)
    save_sets(tmp_path / "s.jsonl", blocks, *how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"columns_as": {"id": "Id"}}, "`columns_as` must be of the columns label, got 'id'; name"),
        ({"columns_as": {"size": "n"}}, "`columns_as` must be of the columns label, got 'size'"),
    ],
)
def test_columns_that_are_not_there_are_named(tmp_path, how, message):
    with pytest.raises(ValueError, match=message):
        save_labels(tmp_path / "y.csv", BLOCKS, 4, Layout(CLASSES, **how))
    assert list(tmp_path.iterdir()) == []


def test_what_fails_midway_leaves_nothing(tmp_path):
    def broken():
        yield BLOCKS[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        save_labels(tmp_path / "y.csv", broken(), 4, Layout())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="the suffix of an output must be one of"):
        save_labels(tmp_path / "y.safetensors", BLOCKS, 4, Layout())
    with pytest.raises(ValueError, match="the suffix of an output must be one of"):
        save_sets(tmp_path / "s.txt", [SETS], (4, 3), Layout())


def test_no_rows_are_a_header(tmp_path):
    path = save_labels(tmp_path / "y.csv", [], 0, Layout(CLASSES))
    assert table(path) == [["label"]]


def test_two_columns_of_one_heading_are_refused(tmp_path):
    path, ids = tmp_path / "y.csv", np.array(["a", "b"])
    with pytest.raises(ValueError, match="`columns_as` must be different headings"):
        save_labels(path, [np.arange(2)], 2, Layout(ids=ids, columns_as={"id": "label"}))
    assert not path.exists()


@pytest.mark.parametrize("ids", [None, IDS])
def test_a_label_called_id(tmp_path, ids):
    path, layout = tmp_path / "y.csv", Layout(("id", "b", "c"), ids, integers=True)
    if ids is not None:
        with pytest.raises(ValueError, match="none of which is called 'id', as the rows have ids"):
            save_multilabels(path, [SETS], (4, 3), layout)
        return
    save_multilabels(path, [SETS], (4, 3), layout)
    assert table(path) == [["id", "b", "c"], *SETS.astype(int).astype(str).tolist()]
