"""Predictions into files: what must not be written, and what must not be replaced."""

import numpy as np
import pytest
import torch

from postproc.files import load_predictions, save_blocks, save_predictions


@pytest.fixture
def npy(tmp_path, probs):
    np.save(tmp_path / "preds.npy", probs)
    return tmp_path / "preds.npy"


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
        (0.5, {}, ValueError, "`probs` must be two-dimensional, (rows, classes), got shape ()"),
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


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_class_called_as_the_column_of_ids_is_refused(tmp_path, suffix):
    probs = np.full((2, 2), 0.5)
    names = {"classes": ("name", "b"), "ids": ["x", "y"], "id_heading": "name"}
    path = tmp_path / f"out{suffix}"
    with pytest.raises(ValueError, match="its class 'name' has the name of the column of ids"):
        save_blocks(path, [probs], shape=probs.shape, dtype=probs.dtype, **names)
    assert not path.exists()
