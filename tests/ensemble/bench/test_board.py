"""What a board makes of planted results."""

import math

import pytest

from ensemble.bench.board import NOTHING_DONE, boards
from tests.ensemble.bench.planted import result, results


def test_scopes_are_told_apart_and_ordered_by_gain():
    member, ensemble = boards(results())
    assert (member.scope, ensemble.scope) == ("member", "ensemble")
    assert member.methods == ("true-prior", "bcts", "auto", "temperature", "sinkhorn")
    assert member.contenders == ("bcts", "auto", "temperature", "sinkhorn")
    assert ensemble.contenders == ("blend", "auto", "calibrated")
    assert (member.n_models, member.n_draws) == (5 * 2, 4)
    assert member.baseline_score() == pytest.approx(0.8)


def test_gains_are_means_over_members_tasks_and_shifts():
    board = boards(results())[0]
    # Tasks add 0 to 4 rows of a thousand.
    assert board.overall("bcts").mean == pytest.approx(0.022)
    only = board.gain("bcts", tasks=["c"], shifts=["none"])
    assert only.mean == pytest.approx(0.022)
    # Draws of all cells go up and down together: t(3) times the deviation of one of them.
    deviation = 0.002 * math.sqrt(4 / 3)
    assert only.high - only.mean == pytest.approx(3.182446 * deviation)
    assert board.overall("bcts").high - 0.022 == pytest.approx(3.182446 * deviation)


def test_ranks_leave_out_bounds_and_count_doing_nothing():
    member, ensemble = (board.ranking() for board in boards(results()))
    assert member.by_task
    # Temperature changes no class: it ties with doing nothing.
    assert dict(zip(member.methods, member.ranks, strict=True)) == {
        "bcts": 1.0, "auto": 2.0, "temperature": 3.5, NOTHING_DONE: 3.5, "sinkhorn": 5.0,
    }  # fmt: skip
    assert member.baseline == NOTHING_DONE
    assert ensemble.methods == ("blend", "auto", "calibrated", "best-single")
    assert ensemble.baseline == "best-single"
    assert member.scores.shape == (5, 5)


def test_blocks_are_tasks_by_shifts_where_tasks_are_few():
    ranking = boards(results(tasks=("a", "b")))[0].ranking()
    assert not ranking.by_task
    assert ranking.scores.shape == (4, 5)
    assert boards(results(tasks=("a",)))[0].ranking() is None


def test_a_mean_that_lacks_a_member_is_not_given():
    found = [
        result("sinkhorn", 0, task=r.task, model=r.model, shift=r.shift, error="no")
        if (r.method, r.task, r.model, r.shift) == ("sinkhorn", "b", "m2", "none")
        else r
        for r in results()
    ]
    board = boards(found)[0]
    assert not board.is_complete_everywhere("sinkhorn")
    assert math.isnan(board.gain("sinkhorn", tasks=["b"], shifts=["none"]).mean)
    assert board.gain("sinkhorn", tasks=["c"], shifts=["none"]).mean == pytest.approx(-0.058)
    ranking = board.ranking()
    assert ranking.left_out == ("sinkhorn",)
    assert "sinkhorn" not in ranking.methods


def test_a_task_that_failed_altogether_is_no_task():
    found = [*results(tasks=("a", "b")), result("bcts", 0, task="c", error="no")]
    board = boards(found)[0]
    assert board.tasks == ("a", "b")
    assert board.is_complete_everywhere("bcts")


def test_harm_counts_cells_and_finds_the_worst():
    found = [
        result("em", 30, task="a"),
        result("em", -3, task="b", spread=0),
        result("em", -3, task="c", spread=20),
        result("em", -1, task="d", spread=0),
        result("em", -9, task="e", shift="longtail:50"),
    ]
    harm = boards(found)[0].harm("em")
    assert (harm.worst.task, harm.worst.shift) == ("e", "longtail:50")
    # Below -.2 points lie b, c and e; the interval of c holds zero, that of d does not.
    assert (harm.n_losses, harm.n_sure_losses, harm.n_cells) == (3, 3, 5)
    assert boards(found)[0].harm("auto") is None


def test_seconds_are_the_median_of_fit_and_target():
    found = [result("em", 0, task=task, seconds=s) for task, s in (("a", 1), ("b", 2), ("c", 9))]
    board = boards(found)[0]
    assert board.seconds("em") == pytest.approx(2.1)
    assert board.seconds("auto") is None


def test_no_results_make_no_board():
    assert boards([]) == []
    (failed,) = boards([result("em", 0, error="no")])
    assert (failed.known, failed.methods, failed.n_draws) == ([], (), 0)
    assert math.isnan(failed.baseline_score())
