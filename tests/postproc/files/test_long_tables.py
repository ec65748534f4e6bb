"""Long tables, a line for each row and class, are read as one row an id."""

import numpy as np
import pytest

from postproc import load_predictions
from postproc.files.reading import Reading, ReadingWarning

CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def probs():
    return np.random.default_rng(0).dirichlet(np.ones(3), 20)


def write(path, lines, header="image,class,score"):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def lines_of(probs):
    return [
        f"r{i},{CLASSES[c]},{float(probs[i, c])!r}" for i in range(len(probs)) for c in range(3)
    ]


@pytest.mark.parametrize("shuffled", [False, True])
def test_one_row_an_id(probs, tmp_path, shuffled):
    lines = lines_of(probs)
    if shuffled:
        np.random.default_rng(1).shuffle(lines)
    path = write(tmp_path / "long.csv", lines, "image_id,class,score")
    found = load_predictions(path, reading=Reading(long=True))
    rows = [int(name[1:]) for name in found.ids]
    columns = [CLASSES.index(name) for name in found.classes]
    assert np.array_equal(found.scores, probs[np.ix_(rows, columns)])
    assert shuffled or (rows == list(range(20)) and found.classes == CLASSES)
    assert found.id_heading == "image_id"


def test_columns_are_named(probs, tmp_path):
    lines = [f"{line},0.5" for line in lines_of(probs)]
    path = write(tmp_path / "long.csv", lines, "image,name,score,loss")
    reading = Reading(long=True, columns=("score",), id_column="image", label_column="name")
    assert np.array_equal(load_predictions(path, reading=reading).scores, probs)
    with pytest.raises(ValueError, match="needs one column of ids"):
        load_predictions(path, reading=Reading(long=True))


@pytest.mark.parametrize(("drop", "again", "count"), [(4, None, 0), (None, 4, 2)])
def test_every_row_has_every_class_once(probs, tmp_path, drop, again, count):
    lines = lines_of(probs)
    lines = lines[:drop] + lines[drop + 1 :] if again is None else [*lines, lines[again]]
    path = write(tmp_path / "long.csv", lines, "id,class,score")
    with pytest.raises(ValueError, match=f"got {count} lines for 'r1' and 'dog'"):
        load_predictions(path, reading=Reading(long=True))


def test_the_error_of_a_long_table_names_the_layout(probs, tmp_path):
    path = write(tmp_path / "long.csv", lines_of(probs), "id,class,score")
    with pytest.raises(ValueError, match="use postproc convert --layout long"):
        load_predictions(path)


@pytest.mark.parametrize("header", ["id,label,score", "label,score"])
def test_one_of_two_classes_a_row_gives_both(tmp_path, header):
    rows = [("NEG", "0.75"), ("POS", "0.875"), ("NEG", "0.6")]
    lines = [",".join((f"r{at}", *row) if "id" in header else row) for at, row in enumerate(rows)]
    path = write(tmp_path / "top.csv", lines, header)
    with pytest.raises(ValueError, match="use postproc convert --layout long"):
        load_predictions(path)
    with pytest.warns(ReadingWarning, match="the score of one of two classes"):
        found = load_predictions(path, reading=Reading(long=True))
    assert found.classes == ("NEG", "POS")
    assert np.array_equal(found.scores, [[0.75, 0.25], [0.125, 0.875], [0.6, 0.4]])
    assert (found.ids is None) == ("id" not in header)


def test_one_of_several_classes_a_row_is_no_prediction(tmp_path):
    lines = ["r0,cat,0.5", "r1,dog,0.7", "r2,owl,0.4"]
    path = write(tmp_path / "top.csv", lines, "id,label,score")
    with pytest.raises(ValueError, match=r"save the scores of all classes \(top_k=None"):
        load_predictions(path)
    with pytest.raises(ValueError, match="got 0 lines for 'r0' and 'dog'"):
        load_predictions(path, reading=Reading(long=True))


def test_one_of_two_logits_does_not_give_the_other(tmp_path):
    path = write(tmp_path / "top.csv", ["r0,NEG,0.5", "r1,POS,1.5"], "id,label,score")
    with pytest.raises(ValueError, match=r"line 3, column 'score' must be a probability.*got 1\.5"):
        load_predictions(path, reading=Reading(long=True))
