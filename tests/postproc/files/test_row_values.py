"""Values of rows, such as groups and weights, from files."""

import numpy as np
import pytest

from postproc.files.reading import Reading, ReadingWarning
from postproc.files.row_values import load_row_values, load_row_weights

TABLE = "id,patient,weight\nr2,ann,2\nr0,bob,1\nr1,ann,0.5\n"
IDS = np.array(["r0", "r1", "r2"])


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(TABLE)
    return path


def test_a_column_of_a_table_follows_the_ids(table):
    values, name = load_row_values(f"{table}:patient", n_rows=3, ids=IDS)
    assert values.tolist() == ["bob", "ann", "ann"]
    assert name == f"{table}:patient"
    weights, _ = load_row_weights(f"{table}:weight", n_rows=3, ids=IDS)
    assert weights.tolist() == [1, 0.5, 2]


def test_a_table_of_several_columns_asks_for_one(table):
    with pytest.raises(
        ValueError, match=r"values, one a row.*\(patient, weight\) with FILE:COLUMN"
    ):
        load_row_values(table, n_rows=3, ids=IDS)


def test_a_column_that_is_not_there_is_named(table):
    with pytest.raises(ValueError, match="'doctor'"):
        load_row_values(f"{table}:doctor", n_rows=3, ids=IDS)


def test_a_colon_in_the_name_of_a_file_names_no_column(tmp_path):
    path = tmp_path / "12:30.txt"
    path.write_text("a\nb\na\n")
    assert load_row_values(path, n_rows=3)[0].tolist() == ["a", "b", "a"]


def test_without_ids_rows_follow_their_places(table):
    values, _ = load_row_values(f"{table}:patient", n_rows=3, reading=Reading(id_column="-"))
    assert values.tolist() == ["ann", "bob", "ann"]


def test_lines_may_have_a_heading(tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text("weight\n1\n2\n3\n")
    assert load_row_weights(path, n_rows=3)[0].tolist() == [1, 2, 3]


def test_a_heading_stands_above_rows_that_were_never_predicted_too(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("group\na\nb\nc\n")
    predicted = np.array([True, False, True])
    values = load_row_values(path, n_rows=2, predicted=predicted)[0]
    assert values.tolist() == ["a", "c"]


def test_a_number_too_many_is_no_heading(tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text("5\n1\n2\n3\n")
    with pytest.raises(ValueError, match=r"as long as the predictions \(3 rows\), got 4 rows"):
        load_row_weights(path, n_rows=3)


def test_another_number_of_rows_is_an_error(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("a\nb\n")
    with pytest.raises(ValueError, match=r"as long as the predictions \(3 rows\), got 2 rows"):
        load_row_values(path, n_rows=3)


def test_values_without_ids_are_said_to_be_matched_by_place(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("a\nb\na\n")
    with pytest.warns(ReadingWarning, match="has no row ids: its rows are assumed"):
        assert load_row_values(path, n_rows=3, ids=IDS)[0].tolist() == ["a", "b", "a"]
