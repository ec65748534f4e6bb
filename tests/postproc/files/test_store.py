"""Predictions from files and into files: names, ids, kinds and what must not be written."""

import numpy as np
import pytest
import torch

from postproc.files import load_predictions, save_blocks, save_predictions

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


def test_nothing_is_replaced_unasked(npy, probs):
    before = npy.read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        save_predictions(npy, probs)
    assert npy.read_bytes() == before
    save_predictions(npy, probs[:3], overwrite=True)
    assert len(np.load(npy)) == 3


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet", ".safetensors", ".pt"])
def test_blocks_that_fail_leave_nothing(tmp_path, probs, suffix):
    def blocks():
        yield probs[:10]
        raise ValueError("bad row")

    with pytest.raises(ValueError, match="bad row"):
        save_blocks(tmp_path / f"a{suffix}", blocks(), shape=probs.shape, dtype=probs.dtype)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_blocks_in_order_make_the_whole(tmp_path, probs, suffix):
    path = tmp_path / f"a{suffix}"
    blocks = (probs[start : start + 7] for start in range(0, 20, 7))
    save_blocks(path, blocks, shape=probs.shape, dtype=np.dtype(np.float32))
    loaded = np.asarray(load_predictions(path).scores, dtype=np.float32)
    np.testing.assert_array_equal(loaded, probs.astype(np.float32))


def test_an_output_may_replace_the_file_it_was_made_from(npy, probs):
    loaded = load_predictions(npy)
    save_blocks(
        npy,
        (loaded.scores[rows] ** 2 for rows in loaded.blocks()),
        shape=loaded.scores.shape,
        dtype=loaded.output_dtype,
        overwrite=True,
    )
    np.testing.assert_array_equal(np.load(npy), probs**2)
    np.testing.assert_array_equal(loaded.scores, probs)


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        ([0.5, 0.5], {}, ValueError, "`probs` must be two-dimensional, (rows, classes), got shape"),
        ([["x", "y"]], {}, TypeError, "`probs` must be an array of real numbers, got dtype <U1"),
        ([[1.5, -0.5]], {}, ValueError, "`probs, row 0, column 0` must be in [0, 1] for probabili"),
        (
            [[np.nan, 1]],
            {},
            ValueError,
            "`probs, row 0, column 0` must be a finite number, got nan",
        ),
        (
            [[0.5, 0.5]],
            {"classes": "abc"},
            ValueError,
            "`class names of probs` must be one per column (2), got 3 names",
        ),
        (
            [[0.5, 0.5]],
            {"ids": ["x", "y"]},
            ValueError,
            "`ids of probs` must be one per row (1), got 2 names",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_what_is_no_probabilities_is_not_saved(tmp_path, suffix, values, options, error, message):
    with pytest.raises(error) as caught:
        save_predictions(tmp_path / f"a{suffix}", values, **options)
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_half_precision_is_saved_as_it_is(tmp_path, probs):
    path = save_predictions(tmp_path / "a.npy", torch.tensor(probs).half())
    assert np.load(path).dtype == np.float16


def test_real_predictions_load(shared_data):
    loaded = load_predictions(shared_data / "banking77" / "minilm_lr.test")
    assert loaded.n_classes == len(loaded.classes) == 77
    assert "card_arrival" in loaded.classes
