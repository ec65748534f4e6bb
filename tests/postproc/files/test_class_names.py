"""Columns named by numbers stand in the order of the numbers, whatever their order in a file."""

import numpy as np
import pandas as pd
import pytest

from postproc import accuracy_report
from postproc.files import ReadingWarning, load_predictions

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 11, 60)
PROBS = RNG.dirichlet(np.ones(11), 60)
ORDER = sorted(range(11), key=str)  # 0, 1, 10, 2, ...


def write(folder, form, *, scores=PROBS, order=ORDER):
    table = pd.DataFrame(scores[:, order], columns=[form.format(c) for c in order])
    table.to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


@pytest.mark.parametrize("form", ["{}", "class_{}", "x{}", "prob_{}", "prob_class {}", "{}_prob"])
def test_columns_in_the_order_of_text_are_put_in_that_of_numbers(tmp_path, form):
    with pytest.warns(ReadingWarning, match="order of their numbers|prefix|suffix"):
        loaded = load_predictions(write(tmp_path, form))
    np.testing.assert_array_equal(loaded.scores, PROBS)
    assert [name.split("_")[-1].split(" ")[-1].strip("x") for name in loaded.classes] == list(
        map(str, range(11))
    )


def test_arrays_with_numbered_classes_too(tmp_path):
    np.savez(tmp_path / "a.npz", probs=PROBS[:, ORDER], classes=[f"c{c}" for c in ORDER])
    with pytest.warns(ReadingWarning, match="order of their numbers"):
        loaded = load_predictions(tmp_path / "a.npz")
    np.testing.assert_array_equal(loaded.scores, PROBS)


def test_classes_that_are_given_say_the_order(tmp_path):
    names = [f"c{c}" for c in ORDER]
    loaded = load_predictions(write(tmp_path, "c{}"), classes=names)
    assert list(loaded.classes) == names
    np.testing.assert_array_equal(loaded.scores, PROBS[:, ORDER])


@pytest.mark.parametrize("names", ["3 1 2", "10 20 30", "b a c", "c0 a2 b1", "x00 x1 x2"])
def test_other_names_stay_where_they_are(tmp_path, names):
    path = tmp_path / "a.csv"
    path.write_text(f"{names.replace(' ', ',')}\n.5,.3,.2\n.1,.2,.7\n")
    assert load_predictions(path).classes == tuple(names.split())


def test_data_frames_are_put_in_order_too():
    frame = pd.DataFrame(PROBS[:, ORDER], columns=[f"c{c}" for c in ORDER])
    found = accuracy_report({"a": frame}, Y).to_dict()["models"][0]["accuracy"]
    assert found == np.mean(PROBS.argmax(axis=1) == Y)
