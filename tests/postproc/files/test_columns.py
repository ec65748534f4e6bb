"""Columns of tables: nothing that may be a label is ever read as a score, in any format."""

import csv
import gzip
import json
import warnings

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from postproc.files import Reading, ReadingWarning, load_labels, load_members, load_predictions
from postproc.scores.names import order_by_number
from postproc.scores.tables.column_names import (
    drop_affixes,
    is_extra,
    is_suspect,
    is_truth,
)
from postproc.scores.tables.columns import find_roles
from postproc.scores.tables.suspects import odd_columns
from postproc.scores.tables.tables import Table
from tests.postproc.files import fuzz

CLASSES = ("cat", "dog", "orchid")
SUSPECTS = [
    *("truth", "target", "label", "y", "obs", "pred", "predict", "prediction", "predictions"),
    *("class", "fold", "repeat", "split", "row", "index"),
]
SPELLINGS = [str, str.upper, str.title, lambda name: f" {name}_", lambda name: f".{name}"]
N_ROWS = 12


@pytest.fixture
def scores():
    return np.random.default_rng(3).dirichlet(np.ones(3), N_ROWS)


def write(path, columns):
    """Write named columns in the format of a suffix."""
    names, values = list(columns), [list(column) for column in columns.values()]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.table(dict(zip(names, values, strict=True))), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, default=float) for row in rows))
    else:
        opened = gzip.open if path.suffix == ".gz" else open
        delimiter = "\t" if ".tsv" in path.name else ","
        with opened(path, "wt", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


FORMATS = ["a.csv", "a.tsv", "a.csv.gz", "a.tsv.gz", "a.jsonl", "a.parquet"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("suspect", SUSPECTS)
def test_no_suspect_is_read_as_a_score_at_any_place(tmp_path, scores, name, suspect):
    labels = np.random.default_rng(0).integers(0, 3, N_ROWS)
    texts = [CLASSES[label] for label in labels]
    for place in range(4):
        spelling = SPELLINGS[(place + len(suspect)) % len(SPELLINGS)](suspect)
        for values in (labels.tolist(), texts, labels.astype(float).tolist()):
            for block in (scores, np.log(scores)):
                columns = [(c, block[:, j].tolist()) for j, c in enumerate(CLASSES)]
                columns.insert(place, (spelling, values))
                path = write(tmp_path / name, dict(columns))
                with pytest.raises(ValueError) as caught:
                    load_predictions(path)
                assert f"{spelling.strip() if name[2] in 'ct' else spelling!r}"[:3] in str(
                    caught.value
                )
                assert "name the score columns (cat,dog,orchid) with columns= " in str(caught.value)
                reading = Reading(columns=CLASSES)
                loaded = load_predictions(path, reading=reading)
                np.testing.assert_array_equal(loaded.scores, block)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("column", ["loss", "weight", "x1"])
def test_a_column_without_which_rows_sum_to_one_is_no_score(tmp_path, scores, name, place, column):
    for values in (np.arange(N_ROWS) % 3, np.linspace(0.1, 0.9, N_ROWS), -np.arange(N_ROWS) - 1.5):
        for block in (scores, scores.round(2)):
            columns = [(c, block[:, j].tolist()) for j, c in enumerate(CLASSES)]
            columns.insert(place, (column, values.tolist()))
            path = write(tmp_path / name, dict(columns))
            message = (
                rf"column '{column}' \((all rows sum to 1 without it|by name|whole numbers only)\) "
                "looks like labels or ids"
            )
            with pytest.raises(ValueError, match=message):
                load_predictions(path)


def test_a_label_column_is_labels_only_if_asked_for(tmp_path, scores):
    labels = [CLASSES[row % 3] for row in range(N_ROWS)]
    columns = {c: scores[:, j] for j, c in enumerate(CLASSES)} | {"truth": labels}
    path = write(tmp_path / "a.csv", columns)
    reading = Reading(label_column="truth")
    assert load_predictions(path, reading=reading).classes == CLASSES
    found = load_labels(path, n_classes=3, classes=CLASSES, reading=reading)
    assert found.tolist() == [row % 3 for row in range(N_ROWS)]
    with pytest.raises(ValueError, match=r"name one of its columns .cat, dog, orchid, truth. with"):
        load_labels(path, n_classes=3, classes=CLASSES)
    both = Reading(label_column="truth", columns=("truth", "cat"))
    with pytest.raises(ValueError, match="column 'truth' must hold labels or scores, got it as"):
        load_predictions(path, reading=both)


@pytest.mark.parametrize(
    ("patterns", "classes"),
    [
        (("cat", "dog", "orchid"), CLASSES),
        (("orchid", "cat"), ("orchid", "cat")),
        (("?at", "*o*"), CLASSES),
    ],
)
def test_columns_by_names_and_patterns(tmp_path, scores, patterns, classes):
    columns = {"fold": range(N_ROWS)} | {c: scores[:, j] for j, c in enumerate(CLASSES)}
    path = write(tmp_path / "a.csv", columns)
    logits = {"kind": "logits"} if len(classes) < 3 else {}
    if patterns == ("?at", "*o*"):  # a pattern that fits a suspect does not name it outright
        with pytest.raises(ValueError, match=r"the column 'fold' \(by name\) looks like labels"):
            load_predictions(path, reading=Reading(columns=patterns))
        patterns = ("?at", "*o[!l]*", "orchid")
    loaded = load_predictions(path, reading=Reading(columns=patterns), **logits)
    assert loaded.classes == classes
    np.testing.assert_array_equal(loaded.scores, scores[:, [CLASSES.index(c) for c in classes]])


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (Reading(columns=("cow",)), "it has no column 'cow', got the columns 'fold', 'cat'"),
        (Reading(columns=("fold*", "cat")), r"the column 'fold' \(by name\) looks like labels"),
        (Reading(id_column="name"), "it has no column 'name' of ids, got the columns 'fold', "),
        (Reading(id_column="*o*"), "'\\*o\\*' must name one column, got the columns 'fold', 'dog'"),
    ],
)
def test_columns_that_there_are_not(tmp_path, scores, reading, message):
    columns = {"fold": range(N_ROWS)} | {c: scores[:, j] for j, c in enumerate(CLASSES)}
    path = write(tmp_path / "a.csv", columns)
    with pytest.raises(ValueError, match=rf"a\.csv: cannot be read: {message}"):
        load_predictions(path, reading=reading)


def test_a_suspect_that_is_named_outright_is_a_score(tmp_path, scores):
    columns = {"n": scores[:, 0], "y": 1 - scores[:, 0], "index": range(5, 5 + N_ROWS)}
    path = write(tmp_path / "a.parquet", columns)
    loaded = load_predictions(path, reading=Reading(columns=("n", "y"), id_column="index"))
    assert loaded.classes == ("n", "y")
    assert loaded.ids.tolist() == [str(5 + row) for row in range(N_ROWS)]


@pytest.mark.parametrize(
    ("prefix", "dropped"),
    [
        (".pred_", True),
        ("prob_", True),
        ("Probability:Class=", True),
        ("confidence.", True),
        ("card_", False),
        ("LABEL_", False),
        ("p", False),
    ],
)
def test_prefixes_are_dropped_aloud(tmp_path, scores, prefix, dropped):
    path = write(tmp_path / "a.csv", {prefix + c: scores[:, j] for j, c in enumerate(CLASSES)})
    note = f"{path}: the prefix {prefix!r} of its columns is dropped from class names [PP201]"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        loaded = load_predictions(path)
    assert [str(each.message) for each in said] == ([note] if dropped else [])
    assert loaded.classes == (CLASSES if dropped else tuple(prefix + c for c in CLASSES))
    with pytest.warns(ReadingWarning) as said:
        loaded = load_predictions(path, classes=CLASSES[::-1])
    assert [str(each.message) for each in said] == [note]
    assert loaded.classes == CLASSES[::-1]
    np.testing.assert_array_equal(loaded.scores, scores[:, ::-1])


def test_classes_that_have_the_prefix_keep_it(tmp_path, scores):
    names = [f"prob_{c}" for c in CLASSES]
    path = write(tmp_path / "a.csv", dict(zip(names, scores.T, strict=True)))
    assert load_predictions(path, classes=names).classes == tuple(names)
    (tmp_path / "classes.txt").write_text("\n".join(names))
    assert load_predictions(path).classes == tuple(names)


def test_rounded_probabilities_are_renormalized_aloud(tmp_path, scores):
    for decimals in (1, 2, 3):
        block = scores.round(decimals)
        path = write(tmp_path / "a.csv", dict(zip(CLASSES, block.T, strict=True)))
        off = abs(block.sum(1) - 1)
        note = (
            f"{path}: {(off > 1e-6).sum()} of {N_ROWS} rows do not sum to 1, by up to "
            f"{off.max():.2g}; each is divided by its sum [PP201]"
        )
        with pytest.warns(ReadingWarning) as said:
            loaded = load_predictions(path)
        assert [str(each.message) for each in said] == [note]
        assert loaded.kind == "probs"
        np.testing.assert_allclose(loaded.probabilities(), block / block.sum(1, keepdims=True))


@pytest.mark.parametrize("fill", [0.0, np.nan])
@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.parquet", "a.npy"])
def test_rows_that_were_never_predicted_are_left_out_aloud(tmp_path, scores, fill, name):
    ids = np.array([f"r{row}" for row in range(N_ROWS)])
    scores[[2, 5]] = fill
    path = tmp_path / name
    if name == "a.npz":
        np.savez(path, scores=scores, ids=ids)
    elif name == "a.npy":
        np.save(path, scores)
    else:
        write(path, {"id": ids, **dict(zip(CLASSES, scores.T, strict=True))})
    with pytest.raises(ValueError, match="predicted in every row, got 2 of 12 rows all"):
        load_predictions(path)
    with pytest.warns(ReadingWarning, match="2 of 12 rows were never predicted and are left out"):
        loaded = load_predictions(path, reading=Reading(skip_unpredicted=True))
    kept = np.delete(np.arange(N_ROWS), [2, 5])
    np.testing.assert_array_equal(loaded.scores, scores[kept])
    assert np.flatnonzero(loaded.predicted).tolist() == kept.tolist()
    if name != "a.npy":
        assert loaded.ids.tolist() == ids[kept].tolist()


def test_labels_beside_the_scores_of_an_array(tmp_path, scores):
    labels = np.arange(N_ROWS) % 3
    np.save(tmp_path / "a.npy", np.c_[scores, labels])
    with pytest.raises(ValueError, match="got an array whose rows sum to 1 without column 3; save"):
        load_predictions(tmp_path / "a.npy")


def test_members_of_a_stack(tmp_path, scores):
    np.save(tmp_path / "a.npy", np.stack([scores, np.log(scores[:, ::-1])]))
    members = load_members(tmp_path / "a")
    assert [member.kind for member in members] == ["probs", "logits"]
    assert [member.name for member in members] == [f"{tmp_path / 'a.npy'}[{k}]" for k in (0, 1)]
    np.testing.assert_allclose(members[1].probabilities(), scores[:, ::-1])
    np.save(tmp_path / "b.npy", scores)
    (only,) = load_members(tmp_path / "b")
    assert only.name == str(tmp_path / "b.npy")


def test_the_sum_rule_leaves_classes_alone():
    block = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    assert odd_columns(block) == ()
    assert odd_columns(np.c_[block, np.zeros(50)]) == ()
    assert odd_columns(np.log(block)) == ()
    assert odd_columns(np.c_[block, np.arange(50), np.linspace(0.1, 0.7, 50)]) == (4, 5)
    assert odd_columns(np.c_[block[:, :2], np.full(50, 0.25), block[:, 2:]]) == (2,)


def test_roles_are_found_without_any_file():
    table = Table(
        ("file", "a", "b", "fold"), (["x", "y"], *np.array([[0.5, 0.1], [0.5, 0.9], [1, 2]])), 2
    )
    roles = find_roles(table, Reading(columns=("a", "b")))
    assert (roles.scores, roles.ids, roles.labels) == ((1, 2), 0, None)
    assert drop_affixes(["prob_", "prob_a"], None) == ("prob_", "prob_a")
    assert drop_affixes(["prob_cat", "prob_dog"], None) == ("cat", "dog")
    assert drop_affixes(["cat_prob", "dog_prob"], None) == ("cat", "dog")
    assert drop_affixes(["P(y=cat)", "P(y=dog)"], None) == ("cat", "dog")
    assert drop_affixes(["LABEL_0", "LABEL_1"], None) == ("LABEL_0", "LABEL_1")
    assert drop_affixes(["LABEL_0", "LABEL_1"], ["0", "1"]) == ("0", "1")
    assert not is_suspect("")


def read(path):
    """What is read of a file, and what is said of it; the error in place of the first."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            loaded = load_predictions(path, reading=Reading(skip_unpredicted=True))
        except ValueError as error:
            loaded = str(error)
    return loaded, " ".join(str(each.message) for each in said)


def check(made, path):
    """What is read of a table is what was put into it, or an error says what is in doubt."""
    path.write_bytes(made.content)
    predicted = np.setdiff1d(np.flatnonzero(made.scores.any(axis=1)), made.unpredicted)
    loaded, notes = read(path)
    if isinstance(loaded, str):
        assert str(path) in loaded
        assert "\n" not in loaded
        # Few rows of logits may sum to 1 without some columns by chance.
        by_chance = len(predicted) < 3 and "all rows sum to 1 without it" in loaded
        unclear = "clearly logits" in loaded or len(predicted) == 0 or by_chance
        assert not made.clear or made.partial or unclear, loaded
        return False
    if "is read as the names of classes" in notes:
        return False
    assert not made.partial
    is_put_in_order = "put in the order of their numbers" in notes
    order = order_by_number(made.classes) if is_put_in_order else range(len(made.classes))
    np.testing.assert_allclose(loaded.scores, made.scores[predicted][:, order], rtol=1e-12)
    if loaded.classes is None:
        assert "it has no header" in notes
    else:
        pairs = zip(loaded.classes, [made.classes[at] for at in order], strict=True)
        assert all(own.endswith(name) for own, name in pairs)
    if made.clear:
        ids = None if made.ids is None else [made.ids[row] for row in predicted]
        assert (None if loaded.ids is None else loaded.ids.tolist()) == ids
    return True


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_tables_give_what_was_put_in_or_an_error(tmp_path_factory, seed):
    made = fuzz.make(np.random.default_rng(seed))
    check(made, tmp_path_factory.getbasetemp() / f"fuzz{made.suffix}")


@pytest.mark.slow
def test_no_wrong_number_in_many_tables(tmp_path):
    n_read = 0
    for seed in range(100_000):
        made = fuzz.make(np.random.default_rng(seed))
        try:
            n_read += check(made, tmp_path / f"fuzz{made.suffix}")
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert n_read > 40_000


def test_rounding_to_six_decimals_is_no_news(tmp_path, scores):
    path = write(tmp_path / "a.csv", dict(zip(CLASSES, scores.round(6).T, strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_predictions(path)
    np.testing.assert_allclose(loaded.probabilities().sum(axis=1), 1, rtol=1e-12)


def test_names_of_labels_and_of_what_stands_beside_logits():
    names = ("Truth", "y_pred", "rowIndex", "class_0", "classy", "true")
    assert [is_suspect(name) for name in names] == [True] * 3 + [False] * 3
    names = ("is_correct", "Loss", "sample weight", "weighty")
    assert [is_extra(name) for name in names] == [True] * 2 + [False] * 2
    names = ("y_true", "Actual class", "label", "y_pred")
    assert [is_truth(name) for name in names] == [True] * 2 + [False] * 2


def test_no_column_holds_ids_if_the_user_says_so(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("orchid,rose\n0.25,0.75\n0.5,0.5\n")
    found = load_predictions(path, reading=Reading(id_column="-"))
    assert (found.ids, found.classes) == (None, ("orchid", "rose"))


def test_a_column_of_ids_that_is_not_there_is_an_error(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("id,cat,dog\na,0.25,0.75\nb,0.5,0.5\n")
    with pytest.raises(ValueError, match="no column 'key' of ids"):
        load_predictions(path, reading=Reading(id_column="key"))


def test_ids_that_are_not_read_are_told_of(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("visit,age,cat,dog\n7,40,0.2,0.8\n9,40,0.6,0.4\n8,41,0.5,0.5\n")
    told = r"row ids are lost if 'visit' holds them; if so, use --id-column visit \[PP201\]$"
    with pytest.warns(ReadingWarning, match=told):
        assert load_predictions(path, reading=Reading(columns=("cat", "dog"))).ids is None
    for column, ids in (("visit", ["7", "9", "8"]), ("-", None)):
        found = load_predictions(path, reading=Reading(columns=("cat", "dog"), id_column=column))
        assert (found.ids if ids is None else found.ids.tolist()) == ids
