"""DataFrames as arguments: what is matched by name, what is refused, and what comes out."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from ensemble import LearnedLogPool, check_members, pool_rows, soft_vote
from postproc import (
    CAN,
    MultilabelCalibration,
    Predictions,
    TemperatureScaling,
    accuracy_report,
    alternating_normalization,
    class_metrics,
    class_prior,
    compare,
    draw_target,
    evaluate,
    load_predictions,
    log_softmax,
    multilabel_prior,
    multilabel_report,
    reliability_bins,
    save_predictions,
    softmax,
    top_k_entropy,
)

CLASSES = ["cat", "dog", "owl"]
P = np.random.default_rng(2).dirichlet(np.ones(3), 6)
Y = np.array([0, 1, 2, 0, 1, 2])
IDS = list("uvwxyz")


@pytest.fixture
def frame():
    return pd.DataFrame(P, columns=CLASSES, index=IDS)


def test_the_first_table_comes_out_with_its_columns_and_index(frame):
    first = frame[["owl", "cat", "dog"]]
    found = soft_vote([first, frame])
    assert list(found.columns) == ["owl", "cat", "dog"]
    assert found.index.equals(frame.index)
    np.testing.assert_allclose(found[CLASSES], P)


@pytest.mark.parametrize("library", [pl.DataFrame, pa.table])
def test_ids_are_a_column_of_polars_and_arrow(library):
    table = library({"cat": P[:, 0], "id": IDS, "dog": P[:, 1], "owl": P[:, 2]})
    mixed = library({"id": IDS[::-1], **{c: P[::-1, j] for j, c in enumerate(CLASSES)}})
    found = soft_vote([table, mixed])
    assert type(found) is type(table)
    assert list(getattr(found, "columns", ())) or found.column_names
    assert found["id"].to_list() == IDS if library is pl.DataFrame else found["id"].to_pylist()
    np.testing.assert_allclose(np.asarray(found["dog"]), P[:, 1])


def test_rows_are_matched_by_index(frame):
    assert soft_vote([frame, frame.sample(frac=1, random_state=3)]).equals(soft_vote([frame] * 2))


def test_rows_with_a_default_index_are_matched_by_position(frame):
    plain = pd.DataFrame(P, columns=CLASSES)
    assert soft_vote([frame, plain]).equals(soft_vote([frame, frame]))
    np.testing.assert_array_equal(evaluate(plain, pd.Series(Y, index=IDS)), evaluate(P, Y))


def test_an_index_that_repeats_names_is_no_id(frame):
    twice = frame.set_axis([*"aabbcc"])
    assert soft_vote([twice, frame.sample(frac=1)]).index.equals(twice.index)


def test_a_default_index_beside_one_that_is_shuffled_is_refused():
    plain = pd.DataFrame(P, columns=CLASSES)
    shuffled = plain.sample(frac=1, random_state=3)
    with pytest.raises(ValueError, match=r"index of members\[1\].*0 to 5 in another order; use"):
        soft_vote([shuffled, plain])
    with pytest.raises(ValueError, match=r"index of labels.*in another order; use reset_index"):
        evaluate(shuffled, pd.Series(Y))


def test_labels_are_looked_up_by_index_and_may_be_more(frame):
    labels = pd.Series([*np.array(CLASSES)[Y], "fox"], index=[*IDS, "other"])
    shuffled = labels.sample(frac=1, random_state=4)
    assert evaluate(frame, shuffled).accuracy == evaluate(P, Y).accuracy
    with pytest.raises(ValueError, match=r"index of labels.*all but 'z'; use reset_index"):
        evaluate(frame, labels.drop("z"))


def test_labels_may_be_a_table_with_ids():
    scores = pl.DataFrame({"id": IDS, **{c: P[:, j] for j, c in enumerate(CLASSES)}})
    labels = pl.DataFrame({"id": IDS[::-1], "label": np.array(CLASSES)[Y[::-1]]})
    assert evaluate(scores, labels).accuracy == evaluate(P, Y).accuracy


@pytest.mark.parametrize(
    "labels",
    [
        np.array(CLASSES)[Y],
        np.array(CLASSES)[Y].tolist(),
        np.array(CLASSES, dtype=object)[Y],
        pd.Categorical(np.array(CLASSES)[Y]),
        pd.Index(np.array(CLASSES)[Y]),
        pl.Series(np.array(CLASSES)[Y], dtype=pl.Enum(CLASSES)),
        pa.array(np.array(CLASSES)[Y]),
        pd.Series(Y.astype(object)),
    ],
    ids=lambda labels: type(labels).__module__ + "." + type(labels).__name__,
)
def test_labels_of_any_type_are_class_names(frame, labels):
    assert evaluate(frame, labels).accuracy == evaluate(P, Y).accuracy
    model = TemperatureScaling().fit(P, labels, classes=CLASSES)
    assert model.temperature_ == TemperatureScaling().fit(P, Y).temperature_


def test_names_without_known_classes_say_how_to_give_them():
    with pytest.raises(TypeError, match="class names need scores with named columns, or `classes`"):
        evaluate(P, ["cat"] * 6)
    with pytest.raises(ValueError, match=r"`labels\[1\]` must be one of the class names 'cat'"):
        evaluate(pd.DataFrame(P, columns=CLASSES), ["cat", "fox", *["cat"] * 4])


def test_numbers_are_names_of_classes_that_are_called_otherwise():
    """Classes 1, 2, 3 of scikit-learn: label 1 is the first class."""
    frame = pd.DataFrame(P, columns=[1, 2, 3])
    assert evaluate(frame, Y + 1).accuracy == evaluate(P, Y).accuracy
    assert (
        TemperatureScaling().fit(frame, Y + 1).predict(frame).tolist()
        == (P.argmax(axis=1) + 1).tolist()
    )


def test_classes_of_scikit_learn_that_are_floats_or_booleans():
    two = np.stack([P[:, 0], 1 - P[:, 0]], axis=1)
    truth = P[:, 0] < 0.4
    wanted = evaluate(two, truth.astype(int)).accuracy
    for order in ([0, 1], [1, 0]):
        for names in (np.array([0.0, 1.0]), np.array([False, True])):
            frame = pd.DataFrame(two[:, order], columns=names[order])
            assert evaluate(frame, names[truth.astype(int)]).accuracy == wanted


def test_a_fit_without_names_says_what_it_takes_columns_for(frame):
    model = TemperatureScaling().fit(P, Y)
    with pytest.warns(UserWarning, match="without class names.*'cat', 'dog', 'owl'") as caught:
        model.predict(frame)
    assert caught[0].filename == __file__


def test_class_numbers_of_arrays_stay_numbers():
    """The command line hands over numbers, whatever the classes are called."""
    names = ["2", "1", "0"]
    named = Predictions.check(P, classes=names)
    wanted = evaluate(P, Y).accuracy
    assert accuracy_report({"a": named}, Y).models[0].metrics.accuracy == wanted
    by_number = TemperatureScaling().fit(P, Y, classes=names)
    assert by_number.temperature_ == TemperatureScaling().fit(P, Y).temperature_


def test_columns_numbered_from_zero_are_class_numbers():
    frame = pd.DataFrame(P)[[2, 0, 1]]
    found = soft_vote([frame, P])
    assert list(found.columns) == [2, 0, 1]
    np.testing.assert_allclose(found[[0, 1, 2]], P)
    logits = pd.DataFrame(np.log(P) + 7)
    np.testing.assert_allclose(softmax(logits), P)


def test_a_common_prefix_is_no_part_of_class_names(frame):
    prefixed = frame.add_prefix("prob_")
    found = LearnedLogPool().fit([prefixed, frame], np.array(CLASSES)[Y])
    assert found.classes_.tolist() == CLASSES
    assert list(found.predict_proba([prefixed, frame]).columns) == list(prefixed.columns)
    assert set(found.predict([prefixed, frame])) <= set(CLASSES)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"truth": Y}, "the column 'truth' (by name) looks like labels"),
        ({"fold": [0, 0, 0, 1, 1, 1]}, "the column 'fold' (by name)"),
        ({"sex": [*"mfmfmf"]}, "the column 'sex' (repeated text)"),
        ({"age": [3.0, 4, 5, 6, 7, 8]}, "'age' (whole numbers only)"),
        ({"note": [*"abcdef"], "id": IDS}, "scores and ids, got 'note'; leave"),
    ],
)
@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_what_may_be_labels_is_never_a_score(extra, message, library, place):
    columns = [(name, P[:, j]) for j, name in enumerate(CLASSES)]
    table = library(dict([*columns[:place], *extra.items(), *columns[place:]]))
    for function in (softmax, lambda t: soft_vote([t]), TemperatureScaling().fit):
        arguments = (table, Y) if hasattr(function, "__self__") else (table,)
        with pytest.raises(ValueError, match=r".*") as error:
            function(*arguments)
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: [f, f.rename(columns={"owl": "fox"})], "got 'fox' instead of 'owl'"),
        (lambda f: [f, f.drop("z")], r"ids of members\[1\].*all but 'z'"),
        (lambda f: [f, f.set_axis(["cat", "cat", "dog"], axis=1)], "different names"),
        (lambda f: [f.assign(cat=None), f], r"members\[0\], row 0, column 0"),
        (lambda f: [pl.LazyFrame({"cat": [1.0]})], "collect or convert it to a DataFrame"),
        (lambda f: (t for t in [f, f.rename(columns={"owl": "fox"})]), "'fox'"),
    ],
)
def test_errors_name_what_differs(frame, make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        soft_vote(make(frame))


def test_fitted_classes_decide_the_order(frame):
    model = LearnedLogPool().fit([frame, frame], Y)
    assert model.classes_.tolist() == CLASSES
    other = frame[["owl", "dog", "cat"]]
    np.testing.assert_array_equal(
        model.predict_proba([other, other])[CLASSES], model.predict_proba([P, P])
    )
    with pytest.raises(ValueError, match="'fox' instead of 'owl'"):
        model.predict_proba([frame.rename(columns={"owl": "fox"})] * 2)


def test_arrays_and_tensors_stay_as_they_are(frame):
    model = LearnedLogPool().fit([frame, frame], Y)
    assert model.predict([P, P]).dtype == np.int64
    found = soft_vote([torch.tensor(P), torch.tensor(P)])
    assert isinstance(found, torch.Tensor)
    assert isinstance(log_softmax(P.tolist()), np.ndarray)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_priors_are_matched_by_class_name(frame):
    shares = {"owl": 0.5, "cat": 0.2, "dog": 0.3}
    for prior in (shares, pd.Series(shares), 10 * pd.Series(shares)):
        np.testing.assert_allclose(CAN(prior=prior).fit(frame).prior_, [0.2, 0.3, 0.5])
    counts = pd.Series(["owl", "cat", "owl", "dog"]).value_counts()
    assert class_prior(counts, n_classes=3, classes=CLASSES).tolist() == [0.25, 0.25, 0.5]
    by_number = pd.Series([2, 2, 2, 0, 0, 1]).value_counts(normalize=True)
    np.testing.assert_allclose(class_prior(by_number, n_classes=3), [1 / 3, 1 / 6, 1 / 2])
    with pytest.raises(ValueError, match="all but 'owl'"):
        class_prior({"cat": 0.5, "dog": 0.5}, n_classes=3, classes=CLASSES)
    few = pd.Series([*["owl"] * 2, "cat"]).value_counts()
    with pytest.raises(ValueError, match="all but 'dog'"):
        class_prior(few, n_classes=3, classes=CLASSES)
    with pytest.raises(ValueError, match="must be an array where classes have no names"):
        class_prior(pd.Series(shares), n_classes=3)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_labels_of_several_columns_are_matched_by_name(frame):
    truth = pd.DataFrame(np.eye(3, dtype=int)[Y], columns=CLASSES, index=IDS)
    by_name = CAN(multilabel=True).fit(frame, truth[["owl", "cat", "dog"]])
    by_place = CAN(multilabel=True).fit(P, truth.to_numpy())
    np.testing.assert_array_equal(by_name.predict(frame), by_place.predict(P))
    np.testing.assert_allclose(multilabel_prior(truth), [1 / 3, 2 / 3])


@pytest.mark.parametrize("kind", [list, tuple, set])
def test_lists_of_names_are_columns_of_zeros_and_ones(frame, kind):
    has = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]])
    names = [kind(np.array(CLASSES)[row == 1].tolist()) for row in has]
    found = MultilabelCalibration().fit(frame, names)
    wanted = MultilabelCalibration().fit(frame, has)
    np.testing.assert_array_equal(found.predict_proba(P), wanted.predict_proba(P))
    report = multilabel_report({"a": P}, names, classes=CLASSES)
    assert report.to_text() == multilabel_report({"a": P}, has, classes=CLASSES).to_text()
    with pytest.raises(ValueError, match=r"lists of names; class names come from named columns"):
        MultilabelCalibration().fit(P, names)
    with pytest.raises(
        ValueError, match=r"y\[1\]` must be names among 'cat', 'dog', 'owl', got 'elk'"
    ):
        MultilabelCalibration().fit(frame, [*names[:1], kind(["elk"]), *names[2:]])


def test_functions_of_labels_alone_match_rows_by_index():
    labels = pd.Series(np.array(CLASSES)[Y], index=IDS)
    shuffled = labels.sample(frac=1, random_state=1)
    assert compare(shuffled, shuffled, labels).rows == 6
    assert compare(labels, shuffled, labels).broken == 0
    numbers = pd.Series(Y, index=IDS)
    again = numbers.sample(frac=1, random_state=1)
    assert class_metrics(again, numbers, n_classes=3).correct.tolist() == [2, 2, 2]
    assert reliability_bins(pl.Series([0.5, 0.9]), pl.Series([True, True])).ece > 0
    assert draw_target(numbers, "none", 3, 0, 3).tolist() == (
        draw_target(Y, "none", 3, 0, 3).tolist()
    )
    with pytest.raises(TypeError, match="classes of the type of `labels`"):
        compare(Y, Y, np.array(CLASSES)[Y])


def test_results_are_like_the_argument_that_has_their_rows(frame):
    found = alternating_normalization(P[:2], frame, [0.4, 0.3, 0.3])
    assert isinstance(found, np.ndarray)
    adjusted = alternating_normalization(frame[:2], P, [0.4, 0.3, 0.3])
    np.testing.assert_allclose(adjusted, found)
    assert adjusted.index.tolist() == IDS[:2]


def test_one_value_a_row_comes_out_as_a_series(frame):
    found = top_k_entropy(frame)
    assert found.index.equals(frame.index)
    np.testing.assert_allclose(found, top_k_entropy(P))


def test_rows_that_share_an_id_are_pooled():
    table = pl.DataFrame({"id": [*"aabbcc"], **{c: P[:, j] for j, c in enumerate(CLASSES)}})
    pooled = pool_rows(table)
    assert (pooled.ids.tolist(), pooled.classes) == ([*"abc"], tuple(CLASSES))
    np.testing.assert_allclose(pooled.scores, P.reshape(3, 2, 3).mean(axis=1))
    np.testing.assert_allclose(pool_rows([table, table]).scores, pooled.scores)
    with pytest.raises(ValueError, match="pool_rows makes one row"):
        soft_vote([table])


def test_names_stay_with_predictions_members_and_files(frame, tmp_path):
    assert Predictions.check(frame).ids.tolist() == IDS
    assert check_members([frame]).classes == tuple(CLASSES)
    path = save_predictions(tmp_path / "p.csv", frame)
    assert load_predictions(path).classes == tuple(CLASSES)


def test_integers_and_missing_values():
    votes = pl.DataFrame({"cat": [1, 2], "dog": [3, 2]})
    np.testing.assert_allclose(soft_vote([votes], kinds="votes"), [[0.25, 0.75], [0.5, 0.5]])
    with pytest.raises(ValueError, match="row 1, column 1"):
        soft_vote([pd.DataFrame({"cat": pd.array([1, 2]), "dog": pd.array([3, None])})])


def test_float32_stays_float32(frame):
    narrow = frame.astype(np.float32)
    assert set(soft_vote([narrow, narrow]).dtypes) == {np.dtype(np.float32)}


def test_warnings_point_to_the_caller(frame):
    for scores in (frame, P):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            CAN(prior=[1.0, 1.0, 0.0], threshold=0.5).fit(scores)
        assert {warning.filename for warning in caught} == {__file__}


def test_arrays_load_no_library_of_tables():
    code = (
        "import sys, postproc; postproc.top_k_entropy(postproc.softmax([[0.5, 0.5]]), 2);"
        "print({'pandas', 'polars', 'pyarrow', 'narwhals'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("column", [P[:, 0], P[:, :1], pd.DataFrame({"p": P[:, 0]})])
@pytest.mark.parametrize("words", [("no", "yes"), ("False", "True"), ("0", "1")])
def test_words_are_labels_of_one_column(column, words):
    truth = (Y == 0).astype(int)
    found = TemperatureScaling().fit(column, np.array(words)[truth])
    assert found.temperature_ == TemperatureScaling().fit(column, truth).temperature_


def test_the_name_of_one_column_is_its_positive_label():
    column, truth = pd.DataFrame({"spam": P[:, 0]}), (Y == 0).astype(int)
    found = TemperatureScaling().fit(column, np.array(["ham", "spam"])[truth])
    assert found.temperature_ == TemperatureScaling().fit(column, truth).temperature_
    with pytest.raises(ValueError, match="must be 0 and 1, true and false"):
        TemperatureScaling().fit(column, np.array(["ham", "eggs"])[truth])
