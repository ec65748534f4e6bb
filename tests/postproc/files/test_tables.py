"""Tables of text: whatever spreadsheets and scripts write, or a message with the line."""

import gzip
import warnings

import numpy as np
import pytest

from postproc.files import ReadingWarning, load_predictions, save_predictions


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


SUSPECT = "name the score columns{} with columns= (--columns), labels with label_column= "
SUSPECT += "(--label-column), ids with id_column= (--id-column)"
NAMED = "name it, or the score columns with columns= (--columns)"
PLAIN = "write it without units or marks of thousands"
DELETE = "delete lines that are no rows, such as titles, comments and totals"
THOUSANDS = (
    "its numbers must be clear, got {0!r}, which may be thousands, as '{1}' stands in the same "
    "column; write numbers without marks of thousands"
)


HEADLESS = (
    "without a header it must hold probabilities, got rows that do not sum to 1; add a header of "
    "class names, or give the numbers of the score columns with columns= (--columns 0,1,...)"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty; the first line must hold the class names"),
        ("\n", "it is empty; the first line must hold the class names"),
        ("-1.5,2.5\n3,4\n", HEADLESS),
        (
            ".5,.5,0\n.1,.9,0\n",
            "the column '2' (whole numbers only) looks like labels or ids, not scores; "
            + SUSPECT.format(" (0,1)"),
        ),
        ("id\nx\n", "it has no columns of numbers, got 'x' in column 'id'"),
        (
            "4,5,3\n1,2,9\n",
            "its first line (4,5,3, ...) may be a row or the names of classes; add a header of "
            "names",
        ),
        (
            "4,5.0\n1,2\n3,x\n",
            "line 3, column '1' must be a number, got 'x'",
        ),
        (",a,b\n.5,.5,.9\n", f"each column must have a class name, got ''; {NAMED}"),
        ("a,,b\n0,.5,.5\n", f"each column must have a class name, got ''; {NAMED}"),
        ("a,b\n.5,\n", "line 2, column 'b' must be a number, got none"),
        ("a,b\n.5,.5\n.1,n/a\n", "line 3, column 'b' must be a number, got none"),
        ("a,b\n1,2\nnan,1\n", "line 3, column 'a' must be a number, got none"),
        ("a,b\n.5,.5\n.1,x\n", "line 3, column 'b' must be a number, got 'x'"),
        ("id,a,b\nr,.5,0x1\n", f"line 2, column 'b' must be a number, got '0x1'; {PLAIN}"),
        ("a,b\n1_0,2\n", f"line 2, column 'a' must be a number, got '1_0'; {PLAIN}"),
        ("a;b\n1.000,5;2\n", f"line 2, column 'a' must be a number, got '1.000,5'; {PLAIN}"),
        (
            "a;b\n1,5;2.5\n",
            "its numbers must have one decimal mark, got both '.' and ','; write all with one, and "
            "without marks of thousands",
        ),
        ("a;b\n1.234;12\n12;5\n", THOUSANDS.format("1.234", 12)),
        ("a\tb\n1,234\t12\n12\t5\n", THOUSANDS.format("1,234", 12)),
        ('a,b\n7,12\n"1,234",5\n', THOUSANDS.format("1,234", 7)),
        ("a,b\n.5,.5\n.1\n", f"line 3 must have 2 cells like the first, got 1; {DELETE}"),
        ("a,b\n.5,.5\n.1,.9,0\n", f"line 3 must have 2 cells like the first, got 3; {DELETE}"),
        ("a,b\n\nx,.5,.5\ny,.1,.9\n", f"line 3 must have 2 cells like the first, got 3; {DELETE}"),
        (
            "id,a,b\nx,.5,.5,1\ny,.1,.9,1\n",
            f"line 2 must have 3 cells like the first, got 4; {DELETE}",
        ),
        (
            "a,b,Truth\n.5,.5,0\n.1,.9,1\n",
            "the column 'Truth' (by name) looks like labels or ids, not scores; "
            + SUSPECT.format(" (a,b)"),
        ),
        (
            "a,b,c,k\n.5,.5,9,u\n.1,.9,4,u\n",
            "the columns 'c' (all rows sum to 1 without it), 'k' (repeated text) look like labels "
            "or ids, not scores; " + SUSPECT.format(" (a,b)"),
        ),
    ],
)
def test_faults_are_named_with_their_line(tmp_path, text, message):
    with pytest.raises(ValueError) as caught:
        _load(tmp_path, text)
    assert str(caught.value) == f"{tmp_path / 'preds.csv'}: cannot be read: {message}"


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n0,5;0,5\n0,1;0,9\n",
        "a;b\n.5;.5\n.1;.9\n",
        "a;b\n5e-1;+,5\n1E-1;0,9\n",
        "a\tb\n0,5\t0,5\n0,1\t0,9\n",
        '"a";"b"\n"0,5";0,5\n0,1;0,9\n',
    ],
)
def test_dialects_of_spreadsheets(tmp_path, text):
    loaded = _load(tmp_path, text)
    assert (loaded.scores.tolist(), loaded.classes) == (ROWS, ("a", "b"))
    with gzip.open(tmp_path / "packed.csv.gz", "wt") as file:
        file.write(text)
    assert load_predictions(tmp_path / "packed").scores.tolist() == ROWS


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (".5,.5\n.1,.9\n", ROWS),
        ("1,0\n.1,.9\n", [[1, 0], [0.1, 0.9]]),
        (".1,1e-3,.899\n0,0,1\n", [[0.1, 1e-3, 0.899], [0, 0, 1]]),
        ("0,1,0\n.2,.3,.5\n", [[0, 1, 0], [0.2, 0.3, 0.5]]),
        ("0,1\n.2,.8\n1,0\n", [[0, 1], [0.2, 0.8], [1, 0]]),
    ],
)
def test_a_first_line_of_numbers_is_a_row(tmp_path, text, rows):
    with pytest.warns(ReadingWarning, match="it has no header: its [23] columns are called by"):
        loaded = _load(tmp_path, text)
    assert (loaded.scores.tolist(), loaded.classes) == (rows, None)


def test_ids_without_a_header(tmp_path):
    with pytest.warns(ReadingWarning, match="it has no header"):
        loaded = _load(tmp_path, "x,.5,.5\ny,.1,.9\n")
    assert (loaded.scores.tolist(), loaded.classes, loaded.ids.tolist()) == (ROWS, None, ["x", "y"])


@pytest.mark.parametrize("text", ["10,20,-30\n.2,.3,.5\n", "0,1,2\n.2,.3,.5\n", "0,1,2\n1,0,0\n"])
def test_whole_numbers_that_cannot_be_a_row_are_names(tmp_path, text):
    assert _load(tmp_path, text).classes == tuple(text.split("\n")[0].split(","))


@pytest.mark.parametrize("text", ["0,1\n.5,.5\n.1,.9\n", "0,1\n0,1\n1,0\n"])
def test_numbers_of_two_classes_are_named_aloud(tmp_path, text):
    with pytest.warns(ReadingWarning, match="its first line, 0,1, is read as the names of classes"):
        assert _load(tmp_path, text).classes == ("0", "1")


@pytest.mark.parametrize(
    "text",
    [
        ",a,b\n0,.5,.5\n1,.1,.9\n",
        "Unnamed: 0,a,b\n0,.5,.5\n1,.1,.9\n",
        "a,b,Image ID\n.5,.5,0.0\n.1,.9,1.0\n",
        "a,row_id,b,patientId\n.5,0,.5,7\n.1,1,.9,7\n",
    ],
)
def test_ids_in_any_place(tmp_path, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadingWarning)
        loaded = _load(tmp_path, text)
    assert loaded.scores.tolist() == ROWS
    assert (loaded.classes, loaded.ids.tolist()) == (("a", "b"), ["0", "1"])


def test_classes_whose_names_end_like_ids(tmp_path):
    loaded = _load(tmp_path, "orchid,rose,it,id\n.1,.2,.3,.4\n.4,.3,.2,.1\n")
    assert loaded.classes == ("orchid", "rose", "it", "id")
    assert loaded.ids is None


def test_a_trailing_separator_is_no_column(tmp_path):
    loaded = _load(tmp_path, "a,b,\n.5,.5,\n.1,.9,\n")
    assert (loaded.scores.tolist(), loaded.classes, loaded.ids) == (ROWS, ("a", "b"), None)


def test_leading_zeros_of_ids_are_kept(tmp_path):
    assert _load(tmp_path, "id,a,b\n007,.5,.5\n07,.1,.9\n").ids.tolist() == ["007", "07"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_text_in_utf_16_is_read_also_without_its_mark(tmp_path, encoding):
    assert _load(tmp_path, "é,b\n.5,.5\n", encoding=encoding).classes == ("é", "b")


def test_other_encodings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"preds\.csv: cannot be read: it must be UTF-8 text; "):
        _load(tmp_path, "é,b\n.5,.5\n", encoding="latin-1")


def test_numbers_in_quotes_may_have_a_decimal_comma(tmp_path):
    assert _load(tmp_path, 'id,a,b\n1,"0,5","0,5"\n2,"0,1","0,9"\n').scores.tolist() == ROWS


def test_percentages_may_stand_apart_from_their_sign(tmp_path):
    text = "id;a;b\n1;50 %;50 %\n2;10,0\u00a0%;90 %\n"
    np.testing.assert_allclose(_load(tmp_path, text).scores, ROWS)


@pytest.mark.parametrize("mark", [".", "?", "#N/A", "#NULL!", "NaN"])
def test_rows_of_marks_were_never_predicted(tmp_path, mark):
    text = f"id,a,b\n1,.5,.5\n2,{mark},{mark}\n"
    with pytest.raises(ValueError, match="1 of 2 rows all NaN"):
        _load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "`{}` must be an array of one row or more, got 0 rows"),
        ("a,b\n1,2\n3,inf\n", "`{}, row 1, column 1` must be a finite number, got inf"),
        (
            "a,b,a\n.5,.5,0\n",
            "`class names of {}` must be unique, got 'a' more than once",
        ),
        (
            "id,a,b\n7,.5,.5\n7,.5,.5\n",
            "`ids of {}` must be unique, got '7' more than once; "
            "postproc pool makes one row of those that share an id; of a table, --id-column names "
            "another column of ids, or - for none",
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
        (["", "ok", "no", "so"], "each column must have a class name, got ''"),
        (
            ["0.5", "1", "2", "3"],
            "its class names (0.5, 1, 2, ...) would be read as a row of numbers; write .npz "
            "instead",
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


@pytest.mark.parametrize("decimal", [".", ","])
def test_per_cent_signs(tmp_path, decimal):
    path = tmp_path / "percent.csv"
    mark = ";" if decimal == "," else ","
    rows = [("a", "39.5%", "60.5%"), ("b", "0.0%", "100%")]
    lines = [mark.join(row).replace(".", decimal) for row in rows]
    path.write_text("\n".join([mark.join(("id", "no", "yes")), *lines]))
    assert np.allclose(load_predictions(path).scores, [[0.395, 0.605], [0, 1]], atol=1e-15)


def test_per_cent_signs_in_some_cells_are_refused(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_text("id,no,yes\na,39.5%,60.5%\nb,0.4,60%\n")
    with pytest.raises(ValueError, match=r"column 'no'"):
        load_predictions(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_spreadsheets_in_utf_16(tmp_path, encoding):
    path = tmp_path / "sheet.csv"
    mark = "" if encoding == "utf-16" else "\ufeff"
    path.write_text(mark + "id\tno\tjä\na\t0,25\t0,75\nb\t0,5\t0,5\n", encoding=encoding)
    found = load_predictions(path)
    assert found.classes == ("no", "jä")
    assert np.array_equal(found.scores, [[0.25, 0.75], [0.5, 0.5]])
