"""Columns of scores that are called as the known classes need no further word."""

import json

import numpy as np
import pandas as pd
import pytest

from postproc import load_predictions

CLASSES = ["a", "b", "class"]


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Tables as mlr, ranger and catboost write them, labels and classes beside them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    p = pd.DataFrame(rng.dirichlet(np.ones(3), 50), columns=CLASSES)
    y = rng.choice(CLASSES, 50)
    ids = pd.DataFrame({"id": [f"r{row}" for row in range(50)]})
    beside = pd.DataFrame({"fold": rng.integers(0, 5, 50), "target": y})
    pd.concat([ids, p, beside], axis=1).to_csv("plain.csv", index=False)
    prefixed = p[["b", "class", "a"]].add_prefix(".pred_")
    own = pd.DataFrame({".pred_class": y, ".pred_x": y})
    pd.concat([ids, own, prefixed], axis=1).to_csv("prefixed.csv", index=False)
    pd.concat([ids, p.add_suffix("_score"), beside], axis=1).to_csv("suffixed.csv", index=False)
    pd.concat([ids, p.add_prefix("one_"), p.add_prefix("two_")], axis=1).to_csv("twice.csv")
    ids.assign(label=y).to_csv("labels.csv", index=False)
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    return p


@pytest.mark.filterwarnings("ignore:.*is dropped")
@pytest.mark.parametrize("name", ["plain.csv", "suffixed.csv"])
def test_known_classes_pick_the_columns(tables, name):
    with pytest.warns(UserWarning, match="no scores are read from the columns 'fold', 'target'"):
        found = load_predictions(name, classes=CLASSES)
    assert found.classes == tuple(CLASSES)
    assert found.ids[1] == "r1"
    np.testing.assert_allclose(found.scores, tables)


@pytest.mark.filterwarnings("ignore:.*is dropped")
def test_a_class_may_be_called_as_a_suspect_is(tables):
    text = pd.read_csv("prefixed.csv").drop(columns=".pred_class")
    text = text.rename(columns={".pred_class.1": ".pred_class"})
    text.to_csv("prefixed.csv", index=False)
    with pytest.warns(UserWarning, match="'.pred_x'"):
        found = load_predictions("prefixed.csv", classes=CLASSES)
    np.testing.assert_allclose(found.scores, tables)


def test_two_sets_of_columns_are_not_chosen_from(tables):
    with pytest.raises(ValueError, match=r"columns|class names"):
        load_predictions("twice.csv", classes=CLASSES)


def test_given_columns_count_more(tables):
    from postproc.files.reading import Reading

    with pytest.raises(ValueError, match="class names"):
        load_predictions("plain.csv", classes=CLASSES, reading=Reading(columns=("a", "b")))


def test_all_files_in_doubt_are_named_at_once_and_classes_mend_them(tables, run_cli):
    pd.read_csv("plain.csv").to_csv("again.csv", index=False)
    args = ["report", "plain.csv", "again.csv", "--labels", "labels.csv"]
    error = run_cli(*args, code=1, coded=True).stderr
    assert "plain.csv: the columns" in error
    assert "again.csv: the columns" in error
    assert "--classes" in error
    assert error.count("like labels or ids") == 1
    assert error.endswith("[PP403]\n")
    found = json.loads(run_cli(*args, "--classes", "names.txt", "--json").stdout)
    assert [model["name"] for model in found["models"]] == ["plain", "again"]


def test_one_file_in_doubt_has_its_own_mend(tables, run_cli):
    error = run_cli("report", "plain.csv", "--labels", "labels.csv", code=1).stderr
    assert "with --columns, labels with --label-column, ids with --id-column" in error
    assert "columns=" not in error
    with pytest.raises(ValueError, match=r"columns= \(--columns\)"):
        load_predictions("plain.csv")
