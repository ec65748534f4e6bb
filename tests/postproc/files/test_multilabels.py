"""Multi-label labels from files: columns of zeros and ones, or lists of names."""

import json

import numpy as np
import pytest

from postproc.files import load_multilabels
from postproc.files.reading import Reading, ReadingWarning

NAMES = ("a", "b c", "d")
WANTED = [[1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]]
ROWS = [["a", "b c"], [], ["d"], ["b c"]]
IDS = np.array(["r0", "r1", "r2", "r3"])
KNOWN = {"classes": NAMES, "ids": IDS, "shape": (4, 3)}


def write(path, cells, other="a"):
    lines = [f'{name},"{cell}"' for name, cell in zip(IDS[::-1], cells[::-1], strict=True)]
    path.write_text("\n".join(["id,labels", *lines]) + "\n")


@pytest.mark.parametrize("mark", ["|", ";", ","])
def test_lists_of_names_are_read_aloud(tmp_path, mark):
    write(tmp_path / "y.csv", [f" {mark} ".join(row) for row in ROWS])
    with pytest.warns(ReadingWarning, match="list of names separated by"):
        found = load_multilabels(tmp_path / "y.csv", **KNOWN)
    np.testing.assert_array_equal(found, WANTED)


def test_lists_with_spaces_and_in_json(tmp_path):
    write(tmp_path / "y.csv", ["a d", "", "d", "a"])
    with pytest.warns(ReadingWarning, match="separated by spaces"):
        found = load_multilabels(tmp_path / "y.csv", **KNOWN)
    np.testing.assert_array_equal(found, [[1, 0, 1], [0, 0, 0], [0, 0, 1], [1, 0, 0]])
    write(tmp_path / "p.csv", [str(row) for row in ROWS])
    write(tmp_path / "j.csv", [json.dumps(row).replace('"', '""') for row in ROWS], "[]")
    records = [json.dumps({"id": i, "labels": row}) for i, row in zip(IDS, ROWS, strict=True)]
    (tmp_path / "y.jsonl").write_text("\n".join(records))
    for name in ("j.csv", "p.csv", "y.jsonl"):
        with pytest.warns(ReadingWarning, match="in JSON"):
            found = load_multilabels(tmp_path / name, **KNOWN)
        np.testing.assert_array_equal(found, WANTED)


def test_labels_of_rows_without_predictions_are_told_of(tmp_path):
    (tmp_path / "y.csv").write_text("id,a,b c,d\nr9,0,0,0\nr0,0,0,1\nr1,0,0,0\nr2,1,0,0\nr3,0,0,1")
    with pytest.warns(ReadingWarning, match=r"1 of 5 labels are of rows without predictions"):
        load_multilabels(tmp_path / "y.csv", **KNOWN)


def test_a_list_of_one_column_among_others(tmp_path):
    (tmp_path / "y.csv").write_text("id,split,tags\nr0,x,a|d\nr1,x,\nr2,y,d\nr3,y,a\n")
    with pytest.warns(ReadingWarning, match="list of names"):
        found = load_multilabels(tmp_path / "y.csv", **KNOWN, reading=Reading(label_column="tags"))
    assert found.sum() == 4


def test_unknown_names_stop(tmp_path):
    write(tmp_path / "y.csv", ["a|x", "", "d", "a"])
    with pytest.raises(ValueError, match="row 0` must be names of the labels 'a', 'b c'"):
        load_multilabels(tmp_path / "y.csv", **KNOWN)


def test_columns_go_by_name_and_rows_by_id(tmp_path):
    lines = ["id,d,a,b c", *(f"r{i},{c},{a},{b}" for i, (a, b, c) in enumerate(WANTED))]
    (tmp_path / "y.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    np.testing.assert_array_equal(load_multilabels(tmp_path / "y.csv", **KNOWN), WANTED)


def test_columns_of_true_and_false(tmp_path):
    rows = [",".join(map(str, map(bool, row))) for row in WANTED]
    lines = [f"{i},{row}" for i, row in zip(IDS, rows, strict=True)]
    (tmp_path / "y.csv").write_text("\n".join([",".join(["id", *NAMES]), *lines]) + "\n")
    found = load_multilabels(tmp_path / "y.csv", **KNOWN)
    np.testing.assert_array_equal(found, WANTED)
