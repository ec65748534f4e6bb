"""Tables in one JSON object are read like the records that they stand for."""

import json

import numpy as np
import pandas as pd
import pytest

from postproc import load_predictions

CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def probs():
    return np.random.default_rng(0).dirichlet(np.ones(3), 12).round(6)


def write(folder, content):
    path = folder / "table.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("orient", ["columns", "split", "records", "index"])
@pytest.mark.parametrize("index", [None, [f"r{row}" for row in range(12)]])
def test_every_form_of_pandas(probs, tmp_path, orient, index):
    table = pd.DataFrame(probs, columns=CLASSES, index=index)
    found = load_predictions(write(tmp_path, table.to_json(orient=orient, double_precision=15)))
    assert found.classes == CLASSES
    assert np.array_equal(found.scores, probs)
    has_ids = index is not None and orient != "records"
    assert (found.ids.tolist() == index) if has_ids else found.ids is None


@pytest.mark.parametrize("named", [True, False])
def test_lists_of_scores_beside_ids_and_classes(probs, tmp_path, named):
    content = {"id": [f"r{row}" for row in range(12)], "probs": probs.tolist()}
    found = load_predictions(write(tmp_path, content | ({"classes": CLASSES} if named else {})))
    assert found.classes == (CLASSES if named else None)
    assert np.array_equal(found.scores, probs)
    assert found.ids[3] == "r3"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"classes": ["cat", "dog"]},
        {"cat": [0.5, 0.5], "dog": [0.5]},
        {"cat": {"0": 0.5}, "dog": {"1": 0.5}},
        {"cat": 0.5, "dog": 0.5},
        {"columns": ["cat", "dog"], "data": [[0.5, 0.5], [0.5]]},
        {"columns": 3, "data": []},
    ],
)
def test_other_objects_are_no_tables(tmp_path, content):
    with pytest.raises(ValueError, match="an array of records, one a row, or an object that is"):
        load_predictions(write(tmp_path, content))


def test_lists_under_ids_are_rows_if_they_sum_to_1(probs, tmp_path):
    ids = [f"r{row}" for row in range(12)]
    found = load_predictions(write(tmp_path, dict(zip(ids, probs.tolist(), strict=True))))
    assert np.array_equal(found.scores, probs)
    assert found.ids.tolist() == ids
    logits = np.log(probs).round(3).tolist()
    with pytest.raises(ValueError, match="clearly of columns or of rows; write records"):
        load_predictions(write(tmp_path, dict(zip(ids, logits, strict=True))))


def test_rows_of_text_and_numbers_under_ids_are_read_as_such(tmp_path):
    row = {"pred_label": 0, "pred_score": 0.7, "pred_class": "cat"}
    content = {f"{name}.jpg": row | {"pred_class": name} for name in CLASSES}
    with pytest.raises(ValueError, match=r"'pred_class' \(by name\).*save the scores of all"):
        load_predictions(write(tmp_path, content))


@pytest.mark.parametrize("key", ["predictions", "data"])
def test_the_only_list_of_records_is_the_table(probs, tmp_path, key):
    records = pd.DataFrame(probs, columns=CLASSES).to_dict("records")
    found = load_predictions(write(tmp_path, {"model": "m", "labels": ["x"], key: records}))
    assert np.array_equal(found.scores, probs)
    assert found.classes == CLASSES


def test_lists_of_one_list_are_rows(probs, tmp_path):
    pairs = [
        [[{"label": name, "score": p} for name, p in zip(CLASSES, row, strict=True)]]
        for row in probs.tolist()
    ]
    assert np.array_equal(load_predictions(write(tmp_path, pairs)).scores, probs)


def test_numbers_are_rows_of_one_column(probs, tmp_path):
    found = load_predictions(write(tmp_path, probs[:, 0].tolist()))
    assert np.array_equal(found.scores[:, 1], probs[:, 0])
