"""Cost tables: aligned by name, and bad ones named."""

import numpy as np
import pytest

from postproc.files.costs import load_costs

CLASSES = ("cat", "dog", "fish")
COSTS = np.array([[0, 1, 2], [3, 0, 4], [5, 6, 0]], dtype=float)


def write(path, text):
    path.write_text(text)
    return path


def test_columns_and_rows_are_put_in_the_order_of_the_classes(tmp_path):
    named = write(tmp_path / "k.csv", "true,fish,cat,dog\ndog,4,3,0\ncat,2,0,1\nfish,0,5,6\n")
    assert (load_costs(named, n_classes=3, classes=CLASSES) == COSTS).all()
    bare = write(tmp_path / "b.csv", "fish,cat,dog\n0,5,6\n2,0,1\n4,3,0\n")
    assert (load_costs(bare, n_classes=3, classes=CLASSES) == COSTS).all()
    marks = write(tmp_path / "b.tsv", "fish\tcat\tdog\n0\t5\t6\n2\t0\t1\n4\t3\t0\n")
    assert (load_costs(marks, n_classes=3, classes=CLASSES) == COSTS).all()


def test_abstaining_is_the_last_column_wherever_it_stands(tmp_path):
    wanted = np.column_stack([COSTS, [7, 8, 9]])
    text = "true,abstain,cat,dog,fish\ncat,7,0,1,2\ndog,8,3,0,4\nfish,9,5,6,0\n"
    assert (
        load_costs(write(tmp_path / "k.csv", text), n_classes=3, classes=CLASSES) == wanted
    ).all()
    text = "0,1,2,abstain\n0,1,2,7\n3,0,4,8\n5,6,0,9\n"
    assert (load_costs(write(tmp_path / "n.csv", text), n_classes=3) == wanted).all()


def test_arrays_are_in_the_order_of_the_scores(tmp_path):
    np.save(tmp_path / "k.npy", COSTS)
    assert (load_costs(tmp_path / "k", n_classes=3, classes=CLASSES) == COSTS).all()


def test_numbers_alone_are_in_the_order_of_the_scores(tmp_path):
    path = write(tmp_path / "k.csv", "0,1,2\n3,0,4\n5,6,0\n")
    assert (load_costs(path, n_classes=3, classes=CLASSES) == COSTS).all()
    assert (load_costs(path, n_classes=3) == COSTS).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat,dog,bird\n0,1,2\n3,0,4\n5,6,0\n", "got 'bird' instead of 'fish'"),
        ("cat,dog\n0,1\n1,0\n", "must be those of the predictions, in any order, got all but 'fi"),
        ("cat,dog,fish\n0,1,2\n3,0,4\n", "must be a table of 3 rows under its header, got 2"),
        ("cat,dog,fish\n0,1,2\n3,x,4\n5,6,0\n", "line 3, column 'dog'` must be a number, got 'x'"),
        ("cat,dog,fish\n0,1,2\n3,0\n5,6,0\n", "line 3` must be 3 cells like the header, got 2"),
        (
            "true,cat,dog,fish\ncat,0,1,2\ncat,3,0,4\nfish,5,6,0\n",
            "`rows of .*` must be unique, got 'cat' more than once",
        ),
        ("", "must be those of the predictions"),
    ],
)
def test_bad_tables_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_costs(write(tmp_path / "k.csv", text), n_classes=3, classes=CLASSES)


def test_names_ask_for_classes_where_predictions_have_none(tmp_path):
    path = write(tmp_path / "k.csv", "true,no,yes\nno,0,1\nyes,5,0\n")
    with pytest.raises(ValueError, match=r"'yes' instead of '0', '1'; name the .*\(--classes\)"):
        load_costs(path, n_classes=2)
