"""Predictions from files: names, ids and kinds."""

import numpy as np
import pytest

from postproc.files import load_predictions, save_predictions

CLASSES = ("a", "b", "c", "d")


@pytest.fixture
def npy(tmp_path, probs):
    np.save(tmp_path / "preds.npy", probs)
    return tmp_path / "preds.npy"


def test_class_names_lie_beside_the_file(npy):
    (npy.parent / "classes.txt").write_text("a\nb b\nc\nd\n\n", encoding="utf-8")
    assert load_predictions(npy).classes == ("a", "b b", "c", "d")


def test_given_class_names_come_before_those_beside(npy):
    (npy.parent / "classes.txt").write_text("x\ny\n")
    assert load_predictions(npy, classes=CLASSES).classes == CLASSES


def test_class_names_beside_that_do_not_fit(npy):
    (npy.parent / "classes.txt").write_text("x\ny\n")
    with pytest.raises(ValueError) as caught:
        load_predictions(npy)
    assert str(caught.value) == (
        f"`{npy.parent / 'classes.txt'}` must be as long as preds.npy has columns (4), "
        "got 2 names; give the names of this file with --classes, or move it"
    )


def test_columns_with_names_are_put_in_the_order_asked_for(tmp_path, probs):
    path = save_predictions(tmp_path / "preds.csv", probs, classes=CLASSES)
    loaded = load_predictions(path, classes="dbca")
    assert loaded.classes == ("d", "b", "c", "a")
    np.testing.assert_array_equal(loaded.scores, probs[:, [3, 1, 2, 0]])
    (tmp_path / "classes.txt").write_text("b\na\nd\nc\n")
    np.testing.assert_array_equal(load_predictions(path).scores, probs[:, [1, 0, 3, 2]])
    (tmp_path / "classes.txt").write_text("of\nanother\ntask\n")
    assert load_predictions(path).classes == CLASSES


def test_other_class_names_than_those_in_the_file(tmp_path, probs):
    path = save_predictions(tmp_path / "preds.csv", probs, classes=CLASSES)
    with pytest.raises(ValueError) as caught:
        load_predictions(path, classes="abcx")
    message = f"`class names of {path}` must be those given, got d, x on one side only"
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"classes": "abc"}, "`class names of {}` must be one per column (4), got 3 names"),
        (
            {"classes": "abca"},
            "`class names of {}` must be unique, got 'a' more than once",
        ),
        ({"kind": "softmax"}, '`kind` must be one of "logits", "probs", "votes", got \'softmax\''),
    ],
)
def test_options_that_do_not_fit(npy, options, what):
    with pytest.raises(ValueError) as caught:
        load_predictions(npy, **options)
    assert str(caught.value) == what.format(npy)


def test_ids_that_do_not_fit(tmp_path, probs):
    np.savez(tmp_path / "a.npz", scores=probs, ids=np.arange(19))
    np.savez(tmp_path / "b.npz", scores=probs, ids=np.arange(20) % 7)
    with pytest.raises(ValueError) as caught:
        load_predictions(tmp_path / "a.npz")
    message = f"`ids of {tmp_path / 'a.npz'}` must be one per row (20), got 19 names"
    assert str(caught.value) == message
    with pytest.raises(ValueError, match="unique, got '0' more than once"):
        load_predictions(tmp_path / "b.npz")


def test_declared_kind_and_key_must_agree(tmp_path, probs):
    path = tmp_path / "a.npz"
    np.savez(path, probs=probs)
    assert load_predictions(path, kind="probs").kind == "probs"
    with pytest.raises(ValueError) as caught:
        load_predictions(path, kind="logits")
    assert str(caught.value) == f"`{path}` must be logits, got the key probs"


@pytest.mark.parametrize(("bad", "text"), [(np.nan, "nan"), (np.inf, "inf")])
def test_non_finite_scores_name_file_row_and_column(tmp_path, bad, text):
    logits = np.zeros((5000, 300), dtype=np.float32)
    logits[4321, 123] = bad
    path = tmp_path / "a.npy"
    np.save(path, logits)
    with pytest.raises(ValueError) as caught:
        load_predictions(path)
    assert (
        str(caught.value) == f"`{path}, row 4321, column 123` must be a finite number, got {text}"
    )


def test_multilabel_may_have_one_column_and_any_sums(tmp_path):
    np.save(tmp_path / "a.npy", [[0.9], [0.8]])
    np.save(tmp_path / "b.npy", [[0.9, 0.9], [0.0, 0.0]])
    assert load_predictions(tmp_path / "a", multilabel=True).n_classes == 1
    assert load_predictions(tmp_path / "b", multilabel=True).kind == "probs"


def test_real_predictions_load(shared_data):
    loaded = load_predictions(shared_data / "banking77" / "minilm_lr.test")
    assert loaded.n_classes == len(loaded.classes) == 77
    assert "card_arrival" in loaded.classes
