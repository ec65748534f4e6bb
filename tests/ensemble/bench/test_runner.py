import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from ensemble import soft_vote
from ensemble.bench.methods import METHODS, choose_methods
from ensemble.bench.runner import Plan, _measure_in_worker, benchmark, check_settings
from ensemble.bench.summary import summary_tables
from ensemble.bench.tasks import find_tasks
from postproc import draw_target, softmax
from postproc.evaluation.folds import seed_from
from postproc.evaluation.registry import METRICS

CHEAP = ("temperature", "bcts", "map", "true-prior")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    from tests.ensemble.bench.conftest import make_run

    folder = make_run(
        tmp_path_factory.mktemp("planted") / "task",
        n_fit=800,
        n_test=1500,
        members=("good", "sharp", "biased"),
    )
    methods = (*CHEAP, "best-single", "soft", "calibrated", "weights", "oracle")
    return benchmark(folder, methods=methods, draws=6, rows=1500)


def cells(results, method, model=None, shift=None):
    return [
        r
        for r in results
        if r.method == method
        and (model is None or r.model == model)
        and (shift is None or r.shift == shift)
    ]


def test_gains_in_another_metric_are_those_of_scikit_learn(tmp_path, make, lines):
    from sklearn.metrics import f1_score

    folder = make(tmp_path / "task", members=("good", "biased"))
    options = {"methods": ("soft", "auto"), "draws": 3, "rows": 200, "metric": "macro_f1"}
    found = benchmark(folder, **options, output=tmp_path / "b.jsonl")
    y = np.load(folder / "labels.test.npy")
    good, biased = (np.load(folder / f"{name}.test.npy") for name in ("good", "biased"))
    soft = soft_vote([good, biased], kinds="logits").argmax(axis=1)
    (result,) = cells(found, "soft", shift="longtail:50")
    for draw, (value, before) in enumerate(zip(result.value, result.before, strict=True)):
        rows = draw_target(y, "longtail:50", 200, seed_from(0, draw), 3)
        assert value == pytest.approx(f1_score(y[rows], soft[rows], average="macro"))
        own = f1_score(y[rows], good[rows].argmax(axis=1), average="macro")
        assert before == pytest.approx(own)
    gains = np.subtract(result.value, result.before)
    assert result.gain == pytest.approx(gains.mean())
    assert result.to_dict()["value"] == pytest.approx(np.mean(result.value))
    assert summary_tables(found)[0].note.startswith("Gain over the member's own predictions, in")
    assert "points of macro-F1" in summary_tables(found)[0].note
    assert lines(tmp_path / "b.jsonl")[0]["metric"] == "macro_f1"
    again = benchmark(folder, **options, output=tmp_path / "b.jsonl")
    assert again == found
    with pytest.raises(FileExistsError, match="metric"):
        benchmark(folder, **{**options, "metric": "mcc"}, output=tmp_path / "b.jsonl")


@pytest.mark.parametrize("metric", ["log_loss", "brier", "auc", "average_precision", "aurc"])
def test_gains_in_metrics_of_probabilities_are_those_of_the_registry(tmp_path, make, metric):
    folder = make(tmp_path / "task", members=("good", "biased"))
    methods = ("soft", "temperature", "em", "oracle", "best-single")
    found = benchmark(folder, methods=methods, draws=3, rows=200, metric=metric)
    assert not [each.error for each in found if each.error]
    judge, y = METRICS[metric], np.load(folder / "labels.test.npy")
    fit = np.load(folder / "labels.val.npy")
    sign = 1 if judge.higher else -1
    names = ("good", "biased")
    probs = [softmax(np.load(folder / f"{name}.test.npy")) for name in names]
    on_fit = [judge.measure(fit, softmax(np.load(folder / f"{n}.val.npy"))).value for n in names]
    best = int(np.argmax(sign * np.array(on_fit)))
    (result,) = cells(found, "soft", shift="none")
    for draw, (value, before) in enumerate(zip(result.value, result.before, strict=True)):
        rows = draw_target(y, "none", 200, seed_from(0, draw), 3)
        wanted = judge.measure(y[rows], np.mean(probs, axis=0)[rows]).value
        assert value == pytest.approx(wanted, rel=1e-6)
        assert before == pytest.approx(judge.measure(y[rows], probs[best][rows]).value, rel=1e-6)
    gains = sign * np.subtract(result.value, result.before)
    assert result.gain == pytest.approx(gains.mean())
    assert cells(found, "best-single", shift="none")[0].gains.tolist() == [0] * 3
    assert min(cells(found, "oracle", shift="none")[0].gains) >= 0 or metric != "log_loss"


def test_unknown_metrics_and_single_draws_are_refused(tmp_path, make):
    folder = make(tmp_path / "task")
    with pytest.raises(ValueError, match="log_loss, brier"):
        benchmark(folder, metric="loss")
    with pytest.raises(ValueError, match="for multiclass predictions, got f1"):
        benchmark(folder, metric="f1")
    with pytest.raises(ValueError, match="`draws` must be 2 or more for other metrics"):
        benchmark(folder, metric="macro_f1", draws=1)


def test_temperature_changes_no_class(planted):
    found = cells(planted, "temperature")
    assert len(found) == 9
    for result in found:
        assert result.gains.tolist() == [0] * 6
        assert result.fixed == result.broken == (0,) * 6


def test_bias_correction_mends_the_biased_member_and_no_other(planted):
    # What the bias costs on balanced classes is known: the good member has it not.
    (good,) = cells(planted, "bcts", "good", "none")
    (biased,) = cells(planted, "bcts", "biased", "none")
    lost = (np.array(good.baseline) - np.array(biased.baseline)) / 1500
    assert lost.mean() > 0.05
    np.testing.assert_allclose(biased.gains, lost, atol=0.02)
    assert abs(good.gain) < 0.015


def test_a_known_prior_pays_under_shift_and_costs_nothing_without(planted):
    for shift in ("dirichlet:0.5", "longtail:50"):
        for model in ("good", "sharp"):
            (truth,) = cells(planted, "true-prior", model, shift)
            assert truth.gain > 0.05
            (estimate,) = cells(planted, "map", model, shift)
            assert 0 < estimate.gain < truth.gain + 0.01
    assert abs(cells(planted, "true-prior", "good", "none")[0].gain) < 0.015


def test_members_share_their_draws(planted):
    for shift in ("none", "longtail:50"):
        good, sharp = (cells(planted, "bcts", model, shift)[0] for model in ("good", "sharp"))
        assert good.baseline == sharp.baseline  # a temperature apart


def test_ensembles_are_measured_against_the_best_member(planted):
    for result in cells(planted, "best-single"):
        assert result.gains.tolist() == [0] * 6
    for shift in ("none", "dirichlet:0.5", "longtail:50"):
        (oracle,) = cells(planted, "oracle", shift=shift)
        assert min(oracle.gains) > 0
        assert oracle.broken == (0,) * 6
        others = [cells(planted, name, shift=shift)[0] for name in ("soft", "calibrated")]
        assert all(max(other.right) < max(oracle.right) for other in others)


def test_counts_add_up(planted):
    for result in planted:
        change = np.array(result.fixed) - np.array(result.broken)
        assert (change == np.array(result.right) - np.array(result.baseline)).all()
        assert result.n == (1500,) * 6
        assert result.seconds >= 0
        assert result.fit_seconds >= 0


def test_every_method_is_planned_once(make, tmp_path):
    tasks, _ = find_tasks([make(tmp_path / "task", n_fit=20, n_test=20)])
    settings = check_settings(["all"], ["none", "longtail:5"], draws=1, rows=10, seed=0)
    planned = Plan.of(tasks, settings).cells
    assert len(set(planned)) == len(planned)
    # Two members: methods on one member come twice.
    counts = {"member": 2, "ensemble": 1}
    assert len(planned) == 2 * sum(counts[method.scope] for method in METHODS)


def test_a_seed_has_draws_of_its_own():
    seeds = {(s, d): seed_from(s, d) for s in range(20) for d in range(20)}
    assert len(set(seeds.values())) == 400


def test_another_seed_is_another_benchmark(make, tmp_path):
    folder = make(tmp_path / "task")
    first, again, other = (
        benchmark(folder, methods=["bcts"], shifts=["none"], draws=3, seed=seed)
        for seed in (0, 0, 1)
    )
    assert [r.baseline for r in first] == [r.baseline for r in again]
    assert first[0].baseline != other[0].baseline


def test_one_or_two_processes_write_the_same_bytes(make, tmp_path):
    runs = [make(tmp_path / name, seed=s) for s, name in enumerate("ab")]
    wanted = {"methods": ["bcts", "map", "weights", "soft"], "draws": 2}
    for jobs in (1, 2):
        benchmark(runs, **wanted, jobs=jobs, output=tmp_path / f"{jobs}.jsonl")
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    assert (tmp_path / "1.jsonl").read_bytes().count(b"\n") == 1 + 2 * 3 * (2 * 2 + 2)


def test_processes_that_are_replaced_are_no_news(make, tmp_path, monkeypatch):
    """Joblib starts a new process where one has grown large, and warns of that."""

    def parallel(**options):
        def run(calls):
            for function, args, kwargs in calls:
                warnings.warn(f"{text} given to the executor.", UserWarning, stacklevel=2)
                yield function(*args, **kwargs)

        return run

    monkeypatch.setattr("joblib.Parallel", parallel)
    run = make(tmp_path / "task", n_fit=40, n_test=40)
    wanted = {"methods": ["temperature"], "draws": 1, "jobs": 2}
    text = "A worker stopped while some jobs were"
    assert len(benchmark(run, **wanted)) == 6
    text = "A worker went on while some jobs were"
    with pytest.warns(UserWarning, match="went on"):
        benchmark(run, **wanted)


def test_a_killed_run_goes_on_and_writes_the_same_bytes(make, tmp_path, stop_part_way):
    sizes = {"n_fit": 60, "n_test": 60, "members": ("good",)}
    runs = [make(tmp_path / name, seed=s, **sizes) for s, name in enumerate("abcdef")]
    options = ["--methods", "matrix,map", "--draws", 3, "--jobs", 1, "--quiet"]
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    benchmark(runs, methods=["matrix", "map"], draws=3, output=whole)
    stopped = stop_part_way(["bench", *runs, *options, "-o", part], n_cells=7)
    before = part.read_bytes()
    assert stopped.returncode == -signal.SIGKILL
    assert whole.read_bytes().startswith(before)
    assert len(before) < len(whole.read_bytes())
    resumed = benchmark(runs, methods=["matrix", "map"], draws=3, output=part)
    assert part.read_bytes() == whole.read_bytes()
    assert all(result.fit_seconds is not None for result in resumed)


def test_an_interrupted_run_says_what_is_kept(make, tmp_path, stop_part_way):
    sizes = {"n_fit": 60, "n_test": 60, "members": ("good",)}
    runs = [make(tmp_path / name, seed=s, **sizes) for s, name in enumerate("abcdef")]
    path = tmp_path / "part.jsonl"
    words = ["bench", *runs, "--methods", "matrix,map", "--draws", 3, "--jobs", 1, "-o", path]
    stopped = stop_part_way(words, n_cells=5, number=signal.SIGINT)
    kept = path.read_bytes().count(b"\n") - 1
    assert stopped.returncode == 1
    assert f"interrupted: {kept} of 36 cells are kept in {path}" in stopped.stderr
    assert "Traceback" not in stopped.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["no-such"]}, "`methods` must be names out of all, member, .*'no-such'"),
        ({"methods": []}, "`methods` must be one name or more"),
        ({"shifts": ["upwards"]}, '`shift` must be "none"'),
        ({"shifts": []}, "`shifts` must be one shift or more"),
        ({"draws": 0}, "`draws` must be an integer >= 1"),
        ({"rows": 0}, "`rows` must be an integer >= 1"),
        ({"seed": -1}, "`seed` must be an integer >= 0"),
        ({"jobs": 0}, "`jobs` must be an integer >= 1"),
    ],
)
def test_bad_options(make, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        benchmark(make(tmp_path / "task"), **options)


def test_bad_run_directory(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        benchmark(tmp_path / "nowhere")


def test_words_choose_methods():
    assert {m.scope for m in choose_methods(["member"])} == {"member"}
    assert choose_methods(["all"]) == METHODS
    assert [m.name for m in choose_methods(["blend", "bcts"])] == ["bcts", "blend"]


def test_a_worker_ends_with_its_parent():
    worker = (
        "import os, time; from ensemble.bench.runner import end_with; end_with(os.getppid()); "
        "print('ready', flush=True); time.sleep(600)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    started = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert started.stdout.readline() == b"ready\n"
    started.kill()
    assert started.communicate()[0] == b""  # ends when the worker has closed it


def test_threads_of_the_parent_itself_do_not_end(monkeypatch):
    monkeypatch.setattr("ensemble.bench.runner.end_with", None)
    monkeypatch.setattr("ensemble.bench.runner.measure_unit", lambda *unit: unit)
    assert _measure_in_worker(os.getpid(), 1, 2, 3) == (1, 2, 3)
