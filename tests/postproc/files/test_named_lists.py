"""Lists of class names beside lists of scores put each score under its class."""

import json

import numpy as np
import pytest

from postproc import load_predictions

CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def probs():
    return np.random.default_rng(0).dirichlet(np.ones(3), 30)


def fallen(row, names=CLASSES):
    """Names and scores of a row, the likeliest first."""
    order = np.argsort(-row)
    return [names[c] for c in order], row[order].tolist()


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_records_of_zero_shot_pipelines(probs, tmp_path):
    path = tmp_path / "zero_shot.jsonl"
    rows = map(fallen, probs)
    write_jsonl(
        path,
        [
            {"sequence": f"text {i}", "labels": names, "scores": scores}
            for i, (names, scores) in enumerate(rows)
        ],
    )
    with pytest.warns(match="scores are put in the order of the classes that 'labels' lists"):
        found = load_predictions(path)
    assert found.classes == CLASSES
    assert np.allclose(found.scores, probs)


def test_lists_as_python_prints_them_in_a_table(probs, tmp_path):
    path = tmp_path / "top.csv"
    lines = [
        f'f{i}.jpg,"{names}","{scores}"' for i, (names, scores) in enumerate(map(fallen, probs))
    ]
    path.write_text("\n".join(["filename,label,prob", *lines]))
    with pytest.warns(match="order of the classes"):
        found = load_predictions(path)
    assert found.classes == CLASSES
    assert np.allclose(found.scores, probs)
    assert found.ids[:2].tolist() == ["f0.jpg", "f1.jpg"]


@pytest.mark.parametrize("key", ["index", "top_k_indices", "label_ids", "class"])
def test_numbers_of_classes(probs, tmp_path, key):
    path = tmp_path / "top.jsonl"
    rows = (fallen(row, [0, 1, 2]) for row in probs)
    write_jsonl(path, [{key: numbers, "probs": scores} for numbers, scores in rows])
    with pytest.warns(match="order of the classes"):
        assert np.allclose(load_predictions(path).scores, probs)


def test_parquet(probs, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    names, scores = zip(*map(fallen, probs), strict=True)
    path = tmp_path / "top.parquet"
    parquet.write_table(arrow.table({"classes": names, "scores": scores}), path)
    with pytest.warns(match="order of the classes"):
        found = load_predictions(path)
    assert found.classes == CLASSES
    assert np.allclose(found.scores, probs)


def test_one_order_for_all_rows_is_kept(probs, tmp_path):
    path = tmp_path / "same.jsonl"
    names = ["owl", "cat", "dog"]
    write_jsonl(path, [{"labels": names, "probabilities": row.tolist()} for row in probs])
    found = load_predictions(path)
    assert found.classes == tuple(names)
    assert np.array_equal(found.scores, probs)


def test_other_lists_do_not_name_scores(probs, tmp_path):
    path = tmp_path / "beside.jsonl"
    records = [
        {
            "input_ids": [2, 1, 0],
            "tags": ["a", "a", "b"],
            "onehot": [0, 1, 0],
            "probs": row.tolist(),
        }
        for row in probs
    ]
    write_jsonl(path, records)
    found = load_predictions(path)
    assert found.classes is None
    assert np.array_equal(found.scores, probs)


def test_one_hot_labels_of_two_classes_are_no_numbers_of_classes(tmp_path):
    path = tmp_path / "two.jsonl"
    write_jsonl(
        path,
        [{"labels": [0, 1], "probs": [0.9, 0.1]}, {"labels": [1, 0], "probs": [0.2, 0.8]}],
    )
    found = load_predictions(path)
    assert np.array_equal(found.scores, [[0.9, 0.1], [0.2, 0.8]])


def test_top_k_of_more_classes_is_refused(tmp_path):
    path = tmp_path / "top2.jsonl"
    rows = [
        {"labels": ["cat", "dog"], "scores": [0.6, 0.4]},
        {"labels": ["owl", "dog"], "scores": [0.7, 0.3]},
    ]
    write_jsonl(path, rows)
    with pytest.raises(ValueError, match="line 2, column 'labels' must name the classes of the"):
        load_predictions(path)


@pytest.mark.parametrize(
    "record",
    [
        lambda row: {"probs": [{"label": c, "prob": p} for c, p in row]},
        lambda row: {"prediction": {"classes": [c for c, _ in row], "scores": [p for _, p in row]}},
        lambda row: {"prediction": {"cats": dict(row)}},
        lambda row: [{"name": c, "probability": p} for c, p in row],
    ],
)
def test_nested_records(probs, tmp_path, record):
    path = tmp_path / "nested.jsonl"
    write_jsonl(path, [record(list(zip(CLASSES, row.tolist(), strict=True))) for row in probs])
    found = load_predictions(path)
    columns = [found.classes.index(name) for name in CLASSES]
    assert np.allclose(found.scores[:, columns], probs)


def test_a_name_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.jsonl"
    write_jsonl(path, [{"cat": 0.5, "dog": 0.5, "inner": {"cat": 0.4}}])
    with pytest.raises(ValueError, match="a name of its own, got 'cat' twice"):
        load_predictions(path)


def test_deep_nesting_is_refused(tmp_path):
    path = tmp_path / "deep.jsonl"
    path.write_text('{"a":' * 900 + "1" + "}" * 900 + "\n")
    with pytest.raises(ValueError, match=r"deep\.jsonl"):
        load_predictions(path)
