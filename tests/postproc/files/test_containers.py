"""Arrays and batches with names of their rows beside the scores."""

import numpy as np
import pytest
import torch

from postproc import softmax
from postproc.files import ReadingWarning, load_labels, load_predictions

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(12, 3))
Y = RNG.integers(0, 3, 12)
ORDER = RNG.permutation(12)


@pytest.mark.parametrize("key", ["id", "image_ids", "index", "indices"])
def test_rows_are_named_by_a_key_like_ids(tmp_path, key):
    np.savez(tmp_path / "a.npz", logits=LOGITS, label_ids=Y, **{key: ORDER})
    arrays = {"logits": torch.tensor(LOGITS), "labels": torch.tensor(Y), key: torch.tensor(ORDER)}
    torch.save(
        [{k: v[i : i + 5] for k, v in arrays.items()} for i in (0, 5, 10)], tmp_path / "a.pt"
    )
    for name in ("a.npz", "a.pt"):
        with pytest.warns(ReadingWarning, match=f"its rows are named by the key '{key}'"):
            loaded = load_predictions(tmp_path / name)
        assert loaded.ids.tolist() == list(map(str, ORDER))
        found = load_labels(tmp_path / name, n_classes=3, ids=loaded.ids)
        np.testing.assert_array_equal(found, Y)


@pytest.mark.parametrize("values", [np.arange(12), np.arange(11), np.zeros(12, int), LOGITS[:, 0]])
def test_other_arrays_name_no_rows(tmp_path, values):
    np.savez(tmp_path / "a.npz", logits=LOGITS, index=values)
    assert load_predictions(tmp_path / "a.npz").ids is None


#: Parts of a batch, and whether they hold labels and ids: scores s, labels y, indices i, a loss.
PARTS = {"sy": (True, False), "is": (False, True), "ps": (False, False), "syi": (True, True)}
PARTS |= {"lsy": (True, False), "si": (False, True)}


@pytest.mark.parametrize("order", PARTS)
def test_batches_of_tuples(tmp_path, order):
    parts = {"s": LOGITS, "y": Y, "i": ORDER + 100, "p": LOGITS.argmax(axis=1)}
    tensors = {key: torch.tensor(value) for key, value in parts.items()}
    batches = [
        tuple(torch.tensor(0.3) if key == "l" else tensors[key][rows] for key in order)
        for rows in (slice(0, 5), slice(5, 10), slice(10, None))
    ]
    torch.save(batches, tmp_path / "a.pt")
    loaded = load_predictions(tmp_path / "a.pt")
    np.testing.assert_array_equal(loaded.scores, LOGITS)
    has_labels, has_ids = PARTS[order]
    assert (loaded.ids is not None) == has_ids
    if has_labels:
        np.testing.assert_array_equal(
            load_labels(tmp_path / "a.pt", n_classes=3, ids=loaded.ids), Y
        )
    else:
        with pytest.raises(ValueError, match=r"a\.pt"):
            load_labels(tmp_path / "a.pt", n_classes=3, ids=loaded.ids)


def test_batches_of_several_loaders_are_refused_with_a_mend(tmp_path):
    probs = torch.tensor(softmax(LOGITS))
    torch.save([[probs], [probs]], tmp_path / "a.pt")
    with pytest.raises(ValueError, match="got list as batch 0; save one torch"):
        load_predictions(tmp_path / "a.pt")
