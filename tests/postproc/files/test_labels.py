"""Labels, class names and priors in every form that they come in."""

import numpy as np
import pyarrow
import pytest
import safetensors.numpy
import torch
from pyarrow import parquet

from postproc.files import (
    Reading,
    ReadingWarning,
    load_class_names,
    load_labels,
    load_multilabels,
    load_prior,
)
from postproc.scores.sources import NpySource, as_source

Y = [2, 0, 1, 1, 0, 2, 2, 2]
NAMES = ("cat", "dog", "[bold]bird")
IDS = [f"r{i}" for i in range(len(Y))]
FROM_ONE = (
    "`{}` must be integers in 0..2, or names, got integers in 1..3; subtract 1, or name the "
    "classes with --classes"
)


#: Of labels with ids that are read without any.
IGNORE_IDS = pytest.mark.filterwarnings("ignore:the predictions have no row ids")


def _lines(values, heading=()):
    return "\n".join(map(str, [*heading, *values])) + "\n"


def _write(path, text):
    path.write_bytes(text.encode())
    return path


def _load(path, **options):
    return load_labels(path, n_classes=3, n_rows=len(Y), **options).tolist()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("y.txt", _lines(Y)),
        ("y.txt", "\ufeff" + _lines(Y).replace("\n", "\r\n") + "\r\n\n"),
        ("y.txt", _lines(f" {y}.0 " for y in Y)),
        ("y.csv", _lines(Y)),
        ("y.csv", "\ufeff" + _lines(Y, ["label"]).replace("\n", "\r\n")),
        ("y.csv", _lines(Y, ["Labels"])),
        ("y.csv", _lines(Y, ["what it is"])),
        ("y.csv", _lines((f'"{i}", {y}' for i, y in zip(IDS, Y, strict=True)), ["id, label"])),
        ("y.tsv", _lines((f"{i}\t{y}" for i, y in zip(IDS, Y, strict=True)), ["id\tlabel"])),
    ],
)
@IGNORE_IDS
def test_labels_as_text(tmp_path, name, text):
    _write(tmp_path / name, text)
    assert _load(tmp_path / name) == Y
    assert _load(tmp_path / "y") == Y


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("y.npy", lambda p: np.save(p, Y)),
        ("y.npy", lambda p: np.save(p, np.array(Y, dtype=np.uint8)[:, None])),
        ("y.npy", lambda p: np.save(p, np.array(Y, dtype=">f4"))),
        ("y.npy", lambda p: np.save(p, np.array(Y).astype("S"))),
        ("y.npz", lambda p: np.savez(p, y=Y, other=[1])),
        ("y.npz", lambda p: np.savez(p, anything=Y)),
        ("y.pt", lambda p: torch.save(torch.tensor(Y), p)),
        ("y.pt", lambda p: torch.save({"labels": torch.tensor(Y)}, p)),
        ("y.safetensors", lambda p: safetensors.numpy.save_file({"label": np.array(Y)}, p)),
        ("y.parquet", lambda p: parquet.write_table(pyarrow.table({"any": Y}), p)),
        ("y.parquet", lambda p: parquet.write_table(pyarrow.table({"id": IDS, "any": Y}), p)),
    ],
)
@IGNORE_IDS
def test_labels_as_arrays(tmp_path, name, write):
    write(tmp_path / name)
    assert _load(tmp_path / "y") == Y


@pytest.mark.parametrize(
    ("name", "heading"), [("y.txt", ()), ("y.csv", ()), ("y.csv", ["label"]), ("y.csv", ["intent"])]
)
def test_labels_as_names(tmp_path, name, heading):
    _write(tmp_path / name, _lines((NAMES[y] for y in Y), heading))
    assert _load(tmp_path / "y", classes=NAMES) == Y


def test_integers_are_classes_also_where_they_have_names(tmp_path):
    np.save(tmp_path / "a.npy", Y)
    _write(tmp_path / "b.txt", _lines(Y))
    assert _load(tmp_path / "a", classes=NAMES) == _load(tmp_path / "b", classes=NAMES) == Y


@pytest.mark.parametrize("names", [("10", "20", "30"), ("2", "0", "1"), ("none", "2", "1")])
def test_numbers_are_names_where_classes_are_called_numbers(tmp_path, names):
    text = [names[y] for y in Y]
    _write(tmp_path / "a.txt", _lines(text))
    _write(tmp_path / "b.csv", _lines(text, ["label"]))
    assert _load(tmp_path / "a", classes=names) == _load(tmp_path / "b", classes=names) == Y
    if "none" not in names:
        np.save(tmp_path / "c.npy", np.array(text, dtype=int))
        np.save(tmp_path / "d.npy", np.array(text, dtype=float))
        assert _load(tmp_path / "c", classes=names) == _load(tmp_path / "d", classes=names) == Y


def test_class_numbers_are_refused_where_classes_are_called_other_numbers(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(ValueError) as caught:
        _load(tmp_path / "y", classes=("10", "20", "30"))
    where = f"`{tmp_path / 'y.npy'}, row 0`"
    assert str(caught.value).startswith(f"{where} must be one of the classes 10, 20, 30, got '2'; ")


@IGNORE_IDS
@pytest.mark.parametrize("unknown", ["error", "wrong"])
def test_an_empty_label_is_no_class(tmp_path, unknown):
    path = tmp_path / "y.csv"
    path.write_text("id,label\na,cat\nb,\nc,dog\nd, \n")
    with pytest.raises(ValueError) as error:
        load_labels(path, n_classes=3, classes=NAMES, unknown=unknown)
    assert str(error.value) == (
        f"`{path}, row 1` must be a label, got '', and 1 more; leave rows without a label out of "
        "predictions and labels"
    )
    found = load_labels(path, n_classes=3, classes=NAMES, ids=np.array(["c", "a"]))
    np.testing.assert_array_equal(found, [1, 0])


@pytest.mark.parametrize("mark", ["NA", "nan", "None", "?", "."])
@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_a_mark_of_a_missing_label_is_no_class_but_may_be_the_name_of_one(tmp_path, suffix, mark):
    path = _write(tmp_path / f"y{suffix}", _lines(["cat", mark, "dog"]))
    with pytest.raises(ValueError, match="row 1` must be a label, got"):
        load_labels(path, n_classes=2, classes=("cat", "dog"), unknown="wrong")
    found = load_labels(path, n_classes=3, classes=("cat", mark, "dog"))
    np.testing.assert_array_equal(found, [0, 1, 2])


@pytest.mark.parametrize("value", [np.nan, -1.0, -100.0])
def test_a_number_that_is_no_label_is_refused_with_a_mend(tmp_path, value):
    np.save(tmp_path / "y.npy", [0, 1, value])
    with pytest.raises(ValueError, match=r"0\.\.2|a label.*leave rows without a label out"):
        load_labels(tmp_path / "y.npy", n_classes=3, unknown="wrong")


#: Names of classes, labels, and the numbers of the classes.
NUMBERED = {
    "order of text": (("c_0", "c_1", "c_10", "c_2"), [0, 2, 10, 1], [0, 3, 2, 1]),
    "reversed": (("LABEL_2", "LABEL_1", "LABEL_0"), [0, 1, 2], [2, 1, 0]),
    "from 1": (("V1", "V2", "V3"), [1, 2, 3], [0, 1, 2]),
    "from 1, labels from 0": (("V1", "V2", "V3"), [0, 1, 2], [0, 1, 2]),
    "from 3": (("class 3", "class 4"), [3, 4, 4], [0, 1, 1]),
    "years, labels from 0": (("y2019", "y2020"), [1, 0, 0], [1, 0, 0]),
    "in order": (("x0", "x1", "x2"), [0, 1, 2], [0, 1, 2]),
    "no numbers": (("c", "b", "a"), [0, 1, 2], [0, 1, 2]),
    "whole floats": (("1.0", "2.0", "3.0"), [1, 2, 3], [0, 1, 2]),
    "true first": (("True", "False"), [0, 1, 1], [1, 0, 0]),
    "yes first": (("Yes", "No"), ["false", "true", "true"], [1, 0, 0]),
    "no first": (("no", "yes"), [0, 1, 1], [0, 1, 1]),
    "signs": (("-1", "1"), [0, 1, 1], [0, 1, 1]),
    "accents": (("caf\u00e9", "tea"), ["cafe\u0301", "tea"], [0, 1]),
}


@pytest.mark.parametrize("case", NUMBERED)
def test_labels_are_numbers_in_names_or_of_columns(tmp_path, case):
    names, labels, expected = NUMBERED[case]
    _write(tmp_path / "a.txt", _lines(labels))
    files = ["a.txt"]
    if not isinstance(labels[0], str):
        np.save(tmp_path / "b.npy", labels)
        _write(tmp_path / "c.txt", _lines(map(float, labels)))
        files += ["b.npy", "c.txt"]
    for file in files:
        found = load_labels(tmp_path / file, n_classes=len(names), classes=names)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (("V1", "V2", "V3"), [1, 2, 2], "may be those or numbers of columns"),
        (("1", "2", "3"), [0, 1, 2], "row 0` must be one of the classes 1, 2, 3, got '0'"),
    ],
)
def test_numbers_that_may_be_of_columns_or_of_names_are_refused(tmp_path, names, labels, message):
    np.save(tmp_path / "y.npy", labels)
    with pytest.raises(ValueError, match=message):
        load_labels(tmp_path / "y.npy", n_classes=3, classes=names, unknown="wrong")


def test_a_heading_0_is_told_from_labels_by_the_number_of_rows(tmp_path):
    path = _write(tmp_path / "y.csv", _lines([0, *Y]))
    with pytest.warns(ReadingWarning, match="its first line, 0, is read as a heading"):
        assert _load(path) == Y


def test_predictions_without_ids_are_matched_by_place_aloud(tmp_path):
    path = _write(tmp_path / "y.csv", "id,label\nb,1\na,0\n")
    with pytest.warns(ReadingWarning, match="the predictions have no row ids"):
        load_labels(path, n_classes=2)


def test_labels_with_ids_follow_the_ids_of_the_rows(tmp_path):
    rows = [f"{i},{y}" for i, y in zip(IDS, Y, strict=True)]
    _write(tmp_path / "y.csv", _lines(rows[::-1], ["id,label"]))
    assert _load(tmp_path / "y", ids=np.array(IDS)) == Y
    assert _load(tmp_path / "y", ids=np.array(IDS[::-1])) == Y[::-1]
    np.savez(tmp_path / "z.npz", y=Y, ids=np.arange(8))
    assert _load(tmp_path / "z", ids=np.arange(8)[::-1].astype(str)) == Y[::-1]


@pytest.mark.parametrize(
    ("ids", "missing"), [(["r0", "x"], "'x'"), (list("stuvr"), "'s', 't', 'u', ...")]
)
def test_other_ids_are_an_error(tmp_path, ids, missing):
    path = _write(tmp_path / "y.csv", "id,label\nr0,1\nr1,0\n")
    with pytest.raises(ValueError) as caught:
        load_labels(path, n_classes=3, ids=np.array(ids))
    message = f"`ids of {path}` must be those of the predictions, or more, got all but {missing}"
    assert str(caught.value) == message


def test_labels_are_looked_up_in_a_table_with_more_rows_and_columns(tmp_path):
    text = "text,Image Id,truth,fold\nx,3.0,dog,1\ny,1.0,cat,2\nz,7.0,cow,2\n"
    path = _write(tmp_path / "y.csv", text)
    ids = np.array(["1", "3"])
    options = {"n_classes": 2, "n_rows": 2, "classes": ["cat", "dog"], "ids": ids}
    told = r"y.csv: 1 of 3 labels are of rows without predictions \('7'\) \[PP201\]$"
    for column in ("truth", "tr*"):
        with pytest.warns(ReadingWarning, match=told):
            found = load_labels(path, reading=Reading(label_column=column), **options)
        assert found.tolist() == [0, 1]
    with pytest.raises(ValueError) as caught:
        load_labels(path, **options)
    assert str(caught.value) == (
        f"`{path}` must be labels, one a row, got shape (3, 3); name one of its columns "
        "(text, truth, fold) with --label-column"
    )


def test_rows_that_were_never_predicted_have_no_label(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    predicted = np.arange(len(Y)) % 3 > 0
    found = load_labels(tmp_path / "y", n_classes=3, n_rows=5, predicted=predicted)
    assert found.tolist() == [y for y, kept in zip(Y, predicted, strict=True) if kept]
    with pytest.raises(ValueError, match=r"as long as the predictions \(7 rows\), got 8 labels"):
        load_labels(tmp_path / "y", n_classes=3, predicted=predicted[1:])


@pytest.mark.parametrize(
    ("values", "classes"),
    [(["cat", "cow", "dog"], ["cat", "dog"]), ([0, 7, 1], None), (["4", "9", "5"], ["4", "5"])],
)
def test_a_label_that_is_no_class_counts_as_wrong_if_asked_for(tmp_path, values, classes):
    path = _write(tmp_path / "y.csv", _lines(values, ["label"]))
    with pytest.raises(ValueError):
        load_labels(path, n_classes=2, classes=classes)
    with pytest.warns(ReadingWarning) as said:
        found = load_labels(path, n_classes=2, classes=classes, unknown="wrong")
    assert found.tolist() == [0, 2, 1]
    message = f"{path}: 1 of 3 labels are none of the classes ('{values[1]}'); they count as wrong"
    assert [str(each.message) for each in said] == [f"{message} [PP209]"]


def test_an_id_twice_is_an_error(tmp_path):
    path = _write(tmp_path / "y.csv", "id,label\nr0,1\nr0,0\n")
    with pytest.raises(ValueError) as caught:
        load_labels(path, n_classes=3, ids=np.array(["r0"]))
    message = f"`ids of {path}` must be unique, got 'r0' more than once"
    assert str(caught.value) == message


BY_NAME = "name the classes in classes.txt or with --classes"
COLUMN = "name one of its columns (i, y) with --label-column"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("y.txt", "", "`{}` must be as long as the predictions (8 rows), got 0 labels"),
        ("y.txt", "1\n" * 7, "`{}` must be as long as the predictions (8 rows), got 7 labels"),
        ("y.txt", "1\n\n1\n", "{}: cannot be read: line 2 must not be empty"),
        ("y.txt", "1\n" * 7 + "3\n", FROM_ONE),
        ("y.txt", "1\n" * 7 + "4\n", "`{}[7]` must be an integer in 0..2, got 4"),
        ("y.txt", "1\n" * 7 + "-1\n", "`{}[7]` must be an integer in 0..2, got -1"),
        ("y.txt", "0.5\n" * 8, "`{}[0]` must be an integer in 0..2, got 0.5"),
        ("y.txt", "nan\n" * 8, "`{}, row 0` must be a label, got 'nan', and 7 more; leave rows"),
        ("y.txt", "1" * 30 + "\n" + "1\n" * 7, "`{}[0]` must be an integer in 0..2, got 1.1111"),
        ("y.txt", "1\n²\n", f"`{{}}, row 1` must be an integer in 0..2, got '²'; {BY_NAME}"),
        ("y.txt", "cat\n" * 8, f"`{{}}, row 0` must be an integer in 0..2, got 'cat'; {BY_NAME}"),
        ("y.txt", "1 1\n" * 8, f"`{{}}, row 0` must be an integer in 0..2, got '1 1'; {BY_NAME}"),
        ("y.csv", "", "{}: cannot be read: it is empty"),
        ("y.csv", "id\nr0\n", "{}: cannot be read: it has no column of labels"),
        ("y.csv", "id,y\n1,2\n\n3\n", "{}: cannot be read: line 4 must have 2 cells like the fir"),
        (
            "y.csv",
            "i,y\n7,2\n7,1\n",
            f"`{{}}` must be labels, one a row, got shape (2, 2); {COLUMN}",
        ),
        ("y.csv", ",y\n0,2\n", "`{}` must be as long as the predictions (8 rows), got 1 labels"),
    ],
)
@IGNORE_IDS
def test_text_that_is_no_labels(tmp_path, name, text, message):
    path = _write(tmp_path / name, text)
    with pytest.raises(ValueError) as caught:
        _load(path)
    assert str(caught.value).startswith(message.format(path))


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.ones((3, 3)), ValueError, "`{}` must be labels, one a row, got shape (3, 3)"),
        (np.array(Y) + 1, ValueError, FROM_ONE),
        (np.full(8, np.inf), ValueError, "`{}[0]` must be an integer in 0..2, got inf"),
        (np.full(8, 1j), TypeError, "`{}` must be integers in 0..2, got dtype complex128"),
        (np.zeros(8, "M8[D]"), TypeError, "`{}` must be integers in 0..2, got dtype datetime64[D]"),
    ],
)
def test_arrays_that_are_no_labels(tmp_path, array, error, message):
    path = tmp_path / "y.npy"
    np.save(path, array)
    with pytest.raises(error) as caught:
        _load(path)
    assert str(caught.value) == message.format(path)


def test_unknown_names_are_listed_with_the_row(tmp_path):
    path = _write(tmp_path / "y.txt", "cat\ncow\n")
    with pytest.raises(ValueError) as caught:
        load_labels(path, n_classes=5, classes=["cat", "dog", "bird", "fish", "ant"])
    expected = f"`{path}, row 1` must be one of the classes cat, dog, bird, ..., got 'cow'; name "
    assert str(caught.value).startswith(expected)


def test_class_names(tmp_path):
    _write(tmp_path / "a.txt", "\ufeffa\r\n b c \r\n#d\r\n")
    _write(tmp_path / "b.csv", "label\na\n10\n")
    assert load_class_names(tmp_path / "a") == ("a", "b c", "#d")
    assert load_class_names(tmp_path / "b.csv") == ("a", "10")
    path = _write(tmp_path / "c.csv", "a,b\nc,d\n")
    with pytest.raises(ValueError) as caught:
        load_class_names(path)
    assert str(caught.value) == f"`{path}` must be class names, one a line, got 2 columns"


MULTI = np.array([[1, 0, 0], [0, 1, 1]])


@pytest.mark.filterwarnings("ignore:.*has no row ids")
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("y.npy", lambda p: np.save(p, MULTI)),
        ("y.npy", lambda p: np.save(p, MULTI.astype(bool))),
        ("y.npy", lambda p: np.save(p, MULTI.astype(str))),
        ("y.npz", lambda p: np.savez(p, y=MULTI.astype(float))),
        ("y.csv", lambda p: _write(p, "1,0,0\n0,1,1\n")),
        ("y.csv", lambda p: _write(p, "a,b,c\n1,0,0\n0,1,1\n")),
        ("y.csv", lambda p: _write(p, "id,c,a,b\ns,1,0,1\nr,0,1,0\n")),
        (
            "y.parquet",
            lambda p: parquet.write_table(
                pyarrow.table({"id": ["s", "r"], "b": [1, 0], "a": [0, 1], "c": [1, 0]}), p
            ),
        ),
    ],
)
def test_multilabels_follow_names_and_ids(tmp_path, name, write):
    write(tmp_path / name)
    labels = load_multilabels(
        tmp_path / "y", shape=(2, 3), classes=["a", "b", "c"], ids=np.array(["r", "s"])
    )
    assert labels.tolist() == MULTI.tolist()
    assert labels.dtype == np.int8


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (MULTI.T, "`{}` must be of shape (2, 3), got shape (3, 2)"),
        (MULTI[0], "`{}` must be of shape (2, 3), got shape (3,)"),
        (MULTI * 2, "`{}, row 0, column 0` must be 0 or 1, got 2"),
        (MULTI + np.nan, "`{}, row 0, column 0` must be 0 or 1, got nan"),
        (np.full((2, 3), "x"), "`{}, row 0` must be numbers, got 'x'"),
    ],
)
def test_arrays_that_are_no_multilabels(tmp_path, array, message):
    path = tmp_path / "y.npy"
    np.save(path, array)
    with pytest.raises(ValueError) as caught:
        load_multilabels(path, shape=(2, 3))
    assert str(caught.value) == message.format(path)


def _prior(source, **options):
    return load_prior(str(source), n_classes=3, **options).tolist()


SHARES = [0.25, 0.25, 0.5]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("uniform", [1 / 3] * 3),
        ("1,1,2", SHARES),
        (" .25, 0.25 ,5e-1", SHARES),
        ("0,1,1", [0, 0.5, 0.5]),
    ],
)
def test_priors_in_words_and_numbers(source, expected):
    assert _prior(source) == expected


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("q.npy", lambda p: np.save(p, Y)),
        ("q.npy", lambda p: np.save(p, np.array(Y)[:, None])),
        ("q.txt", lambda p: _write(p, _lines(Y))),
        ("q.csv", lambda p: _write(p, _lines(Y, ["label"]))),
        ("q.csv", lambda p: _write(p, _lines((NAMES[y] for y in Y), ["animal"]))),
        ("q.txt", lambda p: _write(p, _lines(NAMES[y] for y in Y))),
        ("q.npy", lambda p: np.save(p, [2, 2, 4])),
        ("q.npy", lambda p: np.save(p, SHARES)),
        ("q.npy", lambda p: np.save(p, [SHARES])),
        ("q.txt", lambda p: _write(p, _lines([10, 10, 20]))),
        ("q.csv", lambda p: _write(p, _lines(SHARES, ["prior"]))),
        ("q.csv", lambda p: _write(p, "cat,dog,[bold]bird\n5,5,10\n")),
        ("q.csv", lambda p: _write(p, "[bold]bird,cat,dog\n.5,.25,.25\n")),
        ("q.csv", lambda p: _write(p, "id,prior\ndog,.25\n[bold]bird,.5\ncat,.25\n")),
        ("q.csv", lambda p: _write(p, ".25,.25,.5\n")),
        ("q.pt", lambda p: torch.save(torch.tensor(SHARES), p)),
    ],
)
def test_priors_from_files(tmp_path, name, write):
    write(tmp_path / name)
    expected = [0.25, 0.25, 0.5]
    assert _prior(tmp_path / "q", classes=NAMES) == expected


def test_counts_beside_names_of_classes_are_a_prior(tmp_path):
    path = _write(tmp_path / "q.csv", "class,count\ndog,30\n[bold]bird,20\ncat,50\n")
    assert load_prior(str(path), n_classes=3, classes=NAMES).tolist() == [0.5, 0.3, 0.2]


def test_a_column_of_a_larger_table_is_a_prior(tmp_path):
    path = _write(tmp_path / "q.csv", "id,text,label\n0,x,cat\n1,y,dog\n2,x,cat\n3,x,cat\n")
    with pytest.raises(
        ValueError, match=r"name one of its columns \(text, label\) with FILE:COLUMN"
    ):
        load_prior(str(path), n_classes=3, classes=NAMES)
    found = load_prior(f"{path}:label", n_classes=3, classes=NAMES)
    assert found.tolist() == [0.75, 0.25, 0]


def test_columns_of_a_prior_follow_the_classes(tmp_path):
    path = _write(tmp_path / "q.csv", "x,y,z\n1,1,2\n")
    assert _prior(path) == SHARES  # without names there is only the order
    with pytest.raises(ValueError) as caught:
        _prior(path, classes=["x", "y", "w"])
    message = (
        f"`class names of {path}` must be those of the predictions, in any order, "
        "got 'z' instead of 'w'"
    )
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1,2", "`prior` must be of length 3, one number a class, got length 2"),
        ("1,2,x", "`prior` must be numbers with commas between them, or a file, got '1,2,x'"),
        ("1,2,", "`prior` must be numbers with commas between them, or a file, got '1,2,'"),
        ("0,0,0", "`prior` must be a vector with mass, got zeros only"),
        ("1,-1,1", "`prior[1]` must be a finite number >= 0, got -1"),
        ("1,nan,1", "`prior[1]` must be a finite number >= 0, got nan"),
        ("1,1e999,1", "`prior[1]` must be a finite number >= 0, got inf"),
    ],
)
def test_numbers_that_are_no_prior(source, message):
    with pytest.raises(ValueError) as caught:
        _prior(source)
    assert str(caught.value) == message


DECLARE = 'declare kind="labels" (--prior-kind labels) or kind="counts" (--prior-kind counts)'
AS_LABELS = 'if it holds labels, declare kind="labels" (--prior-kind labels)'


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([0.5, 0.5], "`{}` must be of length 3, one number a class, got length 2"),
        (
            np.array(Y, float),
            f"`{{}}` must be of length 3, one number a class, got length 8; {AS_LABELS}",
        ),
        ([0.0, 0.0, 0.0], "`{}` must be a vector with mass, got zeros only"),
        ([0.5, -0.1, 0.6], "`{}[1]` must be a finite number >= 0, got -0.1"),
        ([5, -1, 6], "`{}[1]` must be a finite number >= 0, got -1"),
        ([0, 1, 3, 1], "`{}[2]` must be an integer in 0..2, got 3"),
        (
            [0, 1, 2],
            "`{}` must be clearly labels or clearly counts, got 3 integers that could be either; "
            + DECLARE,
        ),
        (np.zeros(0, int), "`{}` must be one label or more, got none"),
        (np.eye(4), "`{}` must be labels, one a row, got shape (4, 4)"),
    ],
)
def test_files_that_are_no_prior(tmp_path, array, message):
    path = tmp_path / "q.npy"
    np.save(path, array)
    with pytest.raises(ValueError) as caught:
        _prior(path)
    assert str(caught.value) == message.format(path)


def test_a_declared_kind_settles_it(tmp_path):
    np.save(tmp_path / "q.npy", [2, 0, 2])
    assert _prior(tmp_path / "q", kind="labels") == [1 / 3, 0, 2 / 3]
    assert _prior(tmp_path / "q", kind="counts") == [0.5, 0, 0.5]
    assert _prior("2,0,2", kind="labels") == [1 / 3, 0, 2 / 3]
    _write(tmp_path / "t.txt", "2\n0\n2\n")
    assert _prior(tmp_path / "t", kind="labels") == [1 / 3, 0, 2 / 3]
    np.save(tmp_path / "f.npy", np.array(Y, float))
    assert _prior(tmp_path / "f", kind="labels") == SHARES


@pytest.mark.parametrize("array", [MULTI, MULTI.reshape(-1), MULTI.reshape(-1, 1), MULTI == 1])
def test_prior_of_multilabels_is_of_positives_and_negatives(tmp_path, array):
    array = np.concatenate([array, np.zeros_like(array)])
    np.save(tmp_path / "q.npy", array)
    assert load_prior(str(tmp_path / "q"), n_classes=9, multilabel=True).tolist() == [0.25, 0.75]


def test_prior_of_multilabels_as_two_numbers(tmp_path):
    np.save(tmp_path / "q.npy", [0.25, 0.75])
    _write(tmp_path / "c.txt", "10\n30\n")
    for source in (tmp_path / "q", tmp_path / "c", "1,3"):
        assert load_prior(str(source), n_classes=9, multilabel=True).tolist() == [0.25, 0.75]


@pytest.mark.parametrize("dtype", ["u1", ">i4", "i8", "f4"])
def test_numbers_of_an_npy_file_may_stay_in_it(tmp_path, dtype):
    np.save(tmp_path / "y.npy", np.array(Y, dtype)[:, None])
    found = load_labels(tmp_path / "y", n_classes=3, n_rows=len(Y), mapped=True)
    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == Y
    source = as_source(found[:, None])
    assert isinstance(source, NpySource)
    assert source[2:5, 0].tolist() == Y[2:5]


def test_mapped_labels_are_checked(tmp_path):
    np.save(tmp_path / "y.npy", np.array(Y, np.int16))
    with pytest.raises(ValueError) as error:
        load_labels(tmp_path / "y.npy", n_classes=2, mapped=True)
    path = tmp_path / "y.npy"
    assert str(error.value) == f"`{path}[0]` must be an integer in 0..1, got 2"
    with pytest.raises(ValueError, match=r"as long as the predictions \(3 rows\), got 8 labels"):
        load_labels(tmp_path / "y.npy", n_classes=3, n_rows=3, mapped=True)


def test_mapped_labels_that_are_looked_up_by_name(tmp_path):
    np.save(tmp_path / "y.npy", np.array([20, 10, 20]))
    found = load_labels(tmp_path / "y.npy", n_classes=2, classes=["10", "20"], mapped=True)
    assert found.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("heading", "rows", "expected"),
    [
        ("y", ["2", "0", "1"], [2, 0, 1]),
        ("target", ["2.0", "0.0", "1.0"], [2, 0, 1]),
    ],
)
def test_lines_of_numbers_may_have_a_heading(tmp_path, heading, rows, expected):
    path = _write(tmp_path / "y.txt", _lines(rows, [heading]))
    assert load_labels(path, n_classes=3).tolist() == expected


@pytest.mark.parametrize("rows", [["0", "1", "1"], ["0.0", "1.0", "1.0"], ["no", "yes", "yes"]])
@pytest.mark.parametrize("heading", [[], ["churn"]])
def test_labels_of_two_classes_as_lines(tmp_path, heading, rows):
    path = _write(tmp_path / "y.txt", _lines(rows, heading))
    assert load_labels(path, n_classes=2).tolist() == [0, 1, 1]


def test_lines_of_names_may_have_a_heading(tmp_path):
    path = _write(tmp_path / "y.txt", _lines(["dog", "cat"], ["label"]))
    assert load_labels(path, n_classes=3, classes=NAMES).tolist() == [1, 0]


def test_a_name_of_no_class_is_no_heading(tmp_path):
    path = _write(tmp_path / "y.txt", _lines(["dig", "dog", "cat"]))
    with pytest.raises(ValueError, match=r"row 0.*'dig'"):
        load_labels(path, n_classes=3, classes=NAMES)
