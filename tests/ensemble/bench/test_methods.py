"""Methods one by one, where the answer is known."""

import numpy as np
import pytest

from ensemble.bench.boosting import Boosting
from ensemble.bench.ensemble_methods import TeamState
from ensemble.bench.member_methods import Draw, MemberState
from ensemble.bench.methods import METHODS, choose_methods
from ensemble.bench.protocol import Settings, Unit, measure_unit
from ensemble.bench.shared import SharedFits
from ensemble.bench.tasks import find_tasks, load_task
from ensemble.learned.stacking import Bagging
from postproc import CAN, draw_target
from postproc.evaluation.folds import seed_from


@pytest.fixture
def task(make, tmp_path):
    folder = make(tmp_path / "task", n_fit=150, n_test=120, members=("good", "noisy", "other"))
    (found,), _ = find_tasks([folder])
    return found


def measure(task, name, scope="member", draws=2):
    settings = Settings(choose_methods([name]), ("longtail:5",), draws, 100, 0)
    model = task.models[0] if scope == "member" else "all members"
    unit = Unit(task, model, scope, (name,), settings.shifts)
    return [cell.record for cell in measure_unit(unit, settings, unit.cells)]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("scope", ["member", "ensemble"])
def test_labels_of_the_target_reach_bounds_alone(make, tmp_path, scope):
    folder = make(tmp_path / "task", n_fit=50, n_test=60, members=("good", "noisy"))
    (task,), _ = find_tasks([folder])
    data = load_task(task)
    state = (
        MemberState(data.fit[1], data.test[1], data.fit_labels, 0)
        if scope == "member"
        else TeamState(data.fit, data.test, data.fit_labels, data.labels, 0)
    )
    rows = np.arange(50)
    for method in METHODS:
        if method.scope != scope:
            continue
        predictor, found = method.fit(state), []
        for labels in (data.labels, np.zeros_like(data.labels)):
            if scope == "ensemble":
                state.labels = labels
            row_wise = not predictor.by_draw
            found.append(
                predictor.apply()[rows] if row_wise else predictor.apply(Draw(rows, labels[rows]))
            )
        assert found[0].shape == (len(rows), 3)
        np.testing.assert_allclose(found[0].sum(axis=1), 1, atol=1e-5)
        assert (found[0] == found[1]).all() == (not method.bound), method.name


@pytest.mark.filterwarnings("ignore:the target's mean prediction")
def test_can_takes_the_draw_for_its_reference(task):
    (record,) = measure(task, "can-blog")
    data = load_task(task)
    for d in range(2):
        rows = draw_target(data.labels, "longtail:5", 100, seed_from(0, d), 3)
        target = np.asarray(data.test[0].scores)[rows].astype(np.float64)
        prior = np.bincount(data.fit_labels) / len(data.fit_labels)
        wanted = CAN(prior=prior, kind="logits").fit(target).predict_proba(target).argmax(axis=1)
        assert record["right"][d] == (wanted == data.labels[rows]).sum()


def test_bagging_with_a_shared_ridge_is_bagging(task):
    (record,) = measure(task, "bagging", "ensemble")
    data = load_task(task)
    model = Bagging(seed=0).fit(data.fit, data.fit_labels)
    hits = np.asarray(model.predict(data.test)) == data.labels
    rows = [draw_target(data.labels, "longtail:5", 100, seed_from(0, d), 3) for d in range(2)]
    assert record["right"] == [hits[r].sum() for r in rows]


def test_boosting_beats_its_members_where_they_err_apart(task):
    data = load_task(task)
    model = Boosting(seed=0).fit(data.fit, data.fit_labels)
    probs = model.predict_proba(data.test)
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-6)
    accuracy = (probs.argmax(axis=1) == data.labels).mean()
    solo = [(np.asarray(m.scores).argmax(axis=1) == data.labels).mean() for m in data.test]
    assert accuracy > np.mean(solo)


def test_boosting_takes_rows_in_any_order(task):
    data = load_task(task)
    scores = [np.asarray(member.scores) for member in data.fit]
    order = np.random.default_rng(0).permutation(len(data.fit_labels))
    one = Boosting(seed=0).fit(scores, data.fit_labels)
    other = Boosting(seed=0).fit([s[order] for s in scores], data.fit_labels[order])
    test = [np.asarray(member.scores) for member in data.test]
    np.testing.assert_allclose(one.predict_proba(test), other.predict_proba(test), atol=1e-6)


def test_a_method_that_fails_is_a_cell_with_an_error(task, monkeypatch):
    import ensemble.bench.member_methods as module

    def broken(*args, **kwargs):
        msg = "out of\norder"
        raise ArithmeticError(msg)

    monkeypatch.setattr(module, "reweight_rows", broken)
    (record,) = measure(task, "map")
    assert record["error"] == "ArithmeticError: out of order"
    assert record["n"] == record["right"] == record["baseline"] == []
    assert measure(task, "bcts")[0]["error"] is None


def test_shared_fits_are_made_once_and_charged_to_all():
    shared, made = SharedFits(), []

    def work(name, *needs):
        def make():
            for need in needs:
                shared.get(need, work(need))
            made.append(name)
            return sum(range(300_000))

        return make

    _, first, used = shared.timed(lambda: shared.get("b", work("b", "a")))
    _, again, _ = shared.timed(lambda: shared.get("b", work("b", "a")))
    _, paid, _ = shared.timed(lambda: shared.get("b", work("b", "a")), used)
    assert made == ["a", "b"]
    assert used == {"a", "b"}
    assert first > 0
    assert again == pytest.approx(first, rel=0.2, abs=2e-3)
    assert paid < first / 2


def test_all_methods_that_load_torch_run_in_one_thread():
    names = {method.name for method in METHODS if method.trains}
    assert names == {"ytuning", "devil", "devil-discussion", "devil-finetuning"}
