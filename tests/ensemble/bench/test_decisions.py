"""Measured decisions: what the estimators do on the same rows, and tables of it."""

import numpy as np
import pytest

from ensemble.bench.decision_tables import decision_tables
from ensemble.bench.decisions import MAX_ERRORS, Pools, _abstention, _sets, measure_decisions
from ensemble.bench.tasks import find_tasks, load_task
from postproc import ConformalSets, SelectiveClassifier


@pytest.fixture
def tasks(tmp_path, make):
    members = ("good", "biased")
    return find_tasks([make(tmp_path / "task", n_fit=600, n_test=600, members=members)])[0]


def test_guarantees_are_those_of_the_estimators(tasks):
    case = Pools(load_task(tasks[0]), 300, 0).case("longtail:10", 1)
    probs, y = case.member.probs, case.labels
    fit, target = (probs[case.fit], y[case.fit]), probs[case.target]
    decided = SelectiveClassifier(max_error=0.1).fit(*fit).predict(target)
    found = _abstention(case, 0.1)
    assert found["accepted"] == pytest.approx((decided >= 0).mean())
    assert found["error"] == pytest.approx((decided != y[case.target])[decided >= 0].mean())
    prior = np.array([0.2, 0.2, 0.6])
    for options in ({"per_class": True}, {"prior": prior}, {}):
        sets = ConformalSets(**options).fit(*fit).predict_set(target)
        measured = _sets(case, "lac", **options)
        hit = sets[np.arange(300), y[case.target]].mean()
        assert measured["covered"] == pytest.approx(hit)
        assert measured["size"] == pytest.approx(sets.sum(axis=1).mean())


def test_fit_rows_and_target_share_no_row(tasks):
    pools = Pools(load_task(tasks[0]), 300, 0)
    for shifted in (False, True):
        case = pools.case("longtail:10", 3, shifted_fit=shifted)
        assert not set(case.fit) & set(case.target)


def test_guarantees_hold_without_a_shift(tasks):
    records = list(measure_decisions(tasks, shifts=["none"], draws=60, rows=300, seed=0, costly=2))
    found = {record["decision"]: record for record in records}
    for max_error in MAX_ERRORS:
        assert found[f"error {max_error:g}"]["broken"] <= 0.1
    for score in ("lac", "aps", "lac per class", "aps per class"):
        assert 0.88 <= found[score]["covered"] <= 0.94
    assert found["macro_f1"]["draws"] == 2
    titles = [table.title.split()[0] for table in decision_tables(records)]
    assert titles == ["Abstention", "Conformal", "Class"]
