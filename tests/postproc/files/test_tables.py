"""Tables of text: whatever spreadsheets and scripts write, or a message with the line."""

import numpy as np
import pytest

from postproc.files import load_predictions, save_predictions


def _load(tmp_path, text, name="preds.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return load_predictions(path)


ROWS = [[0.5, 0.5], [0.1, 0.9]]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n.5,.5\n.1,.9\n",
        "a,b\n.5,.5\n.1,.9",
        "a,b\r\n.5,.5\r\n.1,.9\r\n",
        "a,b\r.5,.5\r.1,.9\r",
        "\ufeffa,b\n.5,.5\n.1,.9\n",
        "a, b\n .5, .5\n.1 ,.9\n",
        '"a","b"\n".5",".5"\n.1,.9\n',
        "a,b\n\n5e-1,+0.5\n\n1E-1,.9\n\n",
    ],
)
def test_one_table_in_many_hands(tmp_path, text):
    loaded = _load(tmp_path, text)
    assert loaded.scores.tolist() == ROWS
    assert (loaded.classes, loaded.ids, loaded.kind) == (("a", "b"), None, "probs")


@pytest.mark.parametrize("heading", ["id", "ID", " Id ", '"id"', "\ufeffid"])
def test_first_column_of_ids(tmp_path, heading):
    loaded = _load(tmp_path, f'{heading},a,b\n"r,1",.5,.5\n #2 ,.1,.9\n')
    assert loaded.scores.tolist() == ROWS
    assert loaded.ids.tolist() == ["r,1", "#2"]
    assert loaded.classes == ("a", "b")


def test_long_ids_are_not_cut(tmp_path):
    ids = ["x" * 500, "x" * 501]
    loaded = _load(tmp_path, f"id,a,b\n{ids[0]},.5,.5\n{ids[1]},.1,.9\n")
    assert loaded.ids.tolist() == ids


def test_tabs_in_tsv(tmp_path):
    loaded = _load(tmp_path, "id\ta,b\tc\n1\t.5\t.5\n2\t.1\t.9\n", "preds.tsv")
    assert (loaded.classes, loaded.scores.tolist()) == (("a,b", "c"), ROWS)


def test_names_may_hold_newlines_and_quotes(tmp_path):
    loaded = _load(tmp_path, 'id,"a\nb","c ""d"""\nx,.5,.5\ny,.1,.9\n')
    assert (loaded.classes, loaded.ids.tolist()) == (("a\nb", 'c "d"'), ["x", "y"])


def test_integers_may_be_class_names(tmp_path):
    assert _load(tmp_path, "10,20,-30\n.2,.3,.5\n").classes == ("10", "20", "-30")


INDEX = 'if it is an index of pandas, leave it out or name it "id"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty; the first line must hold the class names"),
        ("\n", "it is empty; the first line must hold the class names"),
        ("a;b\n.5;.5\n", "its cells must be separated by ',', got ';'"),
        ("a\tb\n.5\t.5\n", r"its cells must be separated by ',', got '\t'"),
        ("id\nx\n", "it has no columns of scores"),
        (
            ".5,.5\n.1,.9\n",
            "the first line must hold class names, got numbers (.5, .5, ...); add a header",
        ),
        (
            "0,1e-3,1\n0,0,1\n",
            "the first line must hold class names, got numbers (0, 1e-3, 1, ...); add a header",
        ),
        (",a,b\n0,.5,.5\n", f"each column must have a class name, got ''; {INDEX}"),
        ("a,,b\n0,.5,.5\n", f"each column must have a class name, got ''; {INDEX}"),
        ("Unnamed: 0,a\n0,.5\n", f"each column must have a class name, got 'Unnamed: 0'; {INDEX}"),
        ("a,b\n.5,\n", "line 2, column 'b' must be a number, got ''"),
        ("a,b\n.5,.5\n.1,x\n", "line 3, column 'b' must be a number, got 'x'"),
        ("id,a,b\nr,.5,0x1\n", "line 2, column 'b' must be a number, got '0x1'"),
        ('a,b\n"1,5",2\n', "line 2, column 'a' must be a number, got '1,5'"),
        ("a,b\n1_0,2\n", "line 2, column 'a' must be a number, got '1_0'"),
        ("a,b\n50%,50%\n", "line 2, column 'a' must be a number, got '50%'"),
        ("a,b\n.5,.5\n.1\n", "line 3 must have 2 cells like the first, got 1"),
        ("a,b\n.5,.5\n.1,.9,0\n", "line 3 must have 2 cells like the first, got 3"),
        ("a,b\n\nx,.5,.5\ny,.1,.9\n", "line 3 must have 2 cells like the first, got 3"),
        ("id,a,b\nx,.5,.5,1\ny,.1,.9,1\n", "line 2 must have 3 cells like the first, got 4"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path, text, message):
    with pytest.raises(ValueError) as caught:
        _load(tmp_path, text)
    assert str(caught.value) == f"{tmp_path / 'preds.csv'}: cannot be read: {message}"


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused(tmp_path, encoding):
    with pytest.raises(ValueError, match=r"preds\.csv: cannot be read: it must be UTF-8 text$"):
        _load(tmp_path, "é,b\n.5,.5\n", encoding=encoding)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "`{}` must be an array of one row or more, got 0 rows"),
        ("a\n.5\n", "`{}` must be an array of 2 or more classes, got 1 column(s)"),
        ("a,b\n1,2\n3,inf\n", "`{}, row 1, column 1` must be a finite number, got inf"),
        ("a,b\n1,2\nnan,1\n", "`{}, row 1, column 0` must be a finite number, got nan"),
        (
            "a,b,a\n.5,.5,0\n",
            "`class names of {}` must be unique, got 'a' more than once",
        ),
        (
            "id,a,b\n7,.5,.5\n7,.5,.5\n",
            "`ids of {}` must be unique, got '7' more than once",
        ),
    ],
)
def test_tables_that_are_no_predictions(tmp_path, text, message):
    with pytest.raises(ValueError) as caught:
        _load(tmp_path, text)
    assert str(caught.value) == message.format(tmp_path / "preds.csv")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            ["ID", "ok", "no", "so"],
            "its first column, the class 'ID', would be read as ids; write .npz instead",
        ),
        (["", "ok", "no", "so"], f"each column must have a class name, got ''; {INDEX}"),
        (
            ["0.5", "1", "2", "3"],
            "the first line must hold class names, got numbers (0.5, 1, 2, ...); add a header",
        ),
    ],
)
def test_no_table_is_written_that_would_be_read_otherwise(
    tmp_path, probs, suffix, classes, message
):
    path = tmp_path / f"preds{suffix}"
    with pytest.raises(ValueError) as caught:
        save_predictions(path, probs, classes=classes)
    assert str(caught.value) == f"{path}: cannot be written: {message}"
    assert list(tmp_path.iterdir()) == []


def test_class_id_beside_ids_is_no_trouble(tmp_path, probs):
    classes, ids = ["id", "it", "de", "en"], [str(i) for i in range(20)]
    path = save_predictions(tmp_path / "preds.csv", probs, classes=classes, ids=ids)
    loaded = load_predictions(path)
    assert (loaded.classes, loaded.ids.tolist()) == (tuple(classes), ids)
    np.testing.assert_array_equal(loaded.scores, probs)
