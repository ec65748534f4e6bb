import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cli.progress import Pace
from ensemble.bench.runner import benchmark
from tests.ensemble.bench.conftest import make_run

CHEAP = ("--methods", "temperature,bcts,true-prior,soft,calibrated,oracle", "--draws", 2)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "task", n_fit=60, n_test=60)


@pytest.fixture
def bench(run_cli, tmp_path):
    def call(*words, **options):
        fixed = ("-o", tmp_path / "bench.jsonl", "--jobs", 1)
        return run_cli("bench", *fixed, *words, **options)

    return call


def test_tables(bench, run):
    said = bench(run, *CHEAP).stdout
    assert "One member: 2 members of 1 task" in said
    assert "All members: 1 task" in said
    for word in ("baseline, %", "longtail:50", "over calibrated", "true-prior *", "oracle *"):
        assert word in said
    assert "2 draws per shift" in said
    assert "bench.jsonl" in said


def test_json(bench, run):
    found = json.loads(bench(run, *CHEAP, "--json").stdout)
    assert list(found) == ["results", "skipped", "errors", "settings", "warnings"]
    assert len(found["results"]) == 3 * (2 * 3 + 3)
    first = found["results"][0]
    assert set(first) == {
        "task", "model", "scope", "shift", "method", "accuracy", "gain", "gain_ci", "seconds",
        "fit_seconds", "fixed", "broken", "draws", "rows",
    }  # fmt: skip
    assert 0 < first["accuracy"] < 1
    low, high = first["gain_ci"]
    assert low <= first["gain"] <= high
    assert found["settings"]["draws"] == 2
    assert found["skipped"] == found["errors"] == found["warnings"] == []


def test_reports_can_be_read_again(bench, run, tmp_path, monkeypatch):
    bench(run, *CHEAP)
    # The results are there: nothing is measured again.
    monkeypatch.setattr("ensemble.bench.runner.measure_unit", None)
    names = {name: tmp_path / f"bench.{end}" for name, end in (("csv", "csv"), ("markdown", "md"))}
    words = [word for name, path in names.items() for word in (f"--{name}", path)]
    assert "written: " + str(names["csv"]) in bench(run, *CHEAP, *words).stdout
    with names["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 27
    for row in rows:
        assert float(row["gain_low"]) <= float(row["gain"]) <= float(row["gain_high"])
    lines = names["markdown"].read_text().splitlines()
    heads = [line for line in lines if line.startswith("| method |")]
    assert len(heads) == 2
    widths = {line.count(" | ") for line in lines if line.startswith("| ")}
    assert widths == {head.count(" | ") for head in heads}
    assert "exists already" in bench(run, *CHEAP, *words, code=1).stderr
    bench(run, *CHEAP, *words, "--overwrite")


def test_page(bench, run, tmp_path):
    pytest.importorskip("ensemble.bench.page")
    page = tmp_path / "bench.html"
    bench(run, *CHEAP, "--html", page, "--title", "My figures")
    text = page.read_text()
    assert "My figures" in text
    assert "calibrated" in text


def test_bad_directories_are_skipped_and_told(bench, run, tmp_path):
    lacking = make_run(tmp_path / "lacking", n_fit=30, n_test=30)
    (lacking / "labels.test.npy").unlink()
    result = bench(lacking, tmp_path / "nowhere", run, *CHEAP, "--json", "--quiet", code=1)
    found = json.loads(result.stdout)
    assert [Path(entry["path"]).name for entry in found["skipped"]] == ["lacking", "nowhere"]
    assert {entry["task"] for entry in found["results"]} == {"task"}
    assert "skipped" in result.stderr
    assert "must hold labels.test.npy" in result.stderr
    assert "Traceback" not in result.output


def test_nothing_left(bench, run, tmp_path):
    assert "there is no run directory to measure" in bench(tmp_path / "nowhere", code=1).stderr
    said = bench(run, "--methods", "soft", "--models", "good", code=1).stderr
    assert "an ensemble needs two models or more" in said
    assert not (tmp_path / "bench.jsonl").exists()


def test_a_method_that_fails_is_told(bench, run, monkeypatch):
    def broken(*args, **kwargs):
        msg = "no good"
        raise ValueError(msg)

    monkeypatch.setattr("ensemble.bench.member_methods.em_prior", broken)
    result = bench(run, "--methods", "em,bcts", "--draws", 2, "--json", code=1)
    found = json.loads(result.stdout)
    assert len(found["errors"]) == 6
    assert found["errors"][0] == {
        "task": "task", "model": "good", "shift": "none", "method": "em", "error": "no good",
    }  # fmt: skip
    assert "em failed on task, good, none: no good" in result.stderr
    gains = {entry["method"]: entry["gain"] for entry in found["results"]}
    assert gains["em"] is None
    assert gains["bcts"] is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "no-such"], "`methods` must be names out of"),
        (["--shift", "upwards"], '`shift` must be "none"'),
        (["--draws", 0], "`draws` must be an integer >= 1"),
        (["--jobs", 0], "`jobs` must be an integer >= 1"),
        (["--models", "good,bad"], "must be models of a run directory, got bad"),
    ],
)
def test_bad_options(bench, run, words, message):
    assert message in bench(run, *words, code=2).stderr


def test_report_of_a_wrong_suffix(bench, run, tmp_path):
    assert "suffix" in bench(run, "--csv", tmp_path / "a.txt", code=1).stderr
    assert not (tmp_path / "bench.jsonl").exists()


def test_other_options_ask_for_overwrite(bench, run, tmp_path):
    bench(run, *CHEAP)
    said = bench(run, "--methods", "bcts", code=1).stderr
    assert "holds the results of another run" in said
    assert "--overwrite" in said
    bench(run, "--methods", "bcts", "--overwrite", "--draws", 1)


def test_one_draw_has_intervals(bench, run):
    words = ("--methods", "bcts", "--draws", 1, "--shift", "none", "--shift", "longtail:5")
    found = json.loads(bench(run, *words, "--json").stdout)["results"]
    assert [entry["shift"] for entry in found] == ["none", "longtail:5"] * 2
    assert all(np.isfinite(entry["gain_ci"]).all() for entry in found)
    assert " to " in bench(run, *words).stdout


def test_a_process_that_dies_is_told(bench, run, monkeypatch):
    from concurrent.futures.process import BrokenProcessPool

    def die(*args):
        raise BrokenProcessPool

    monkeypatch.setattr("ensemble.bench.runner.measure_unit", die)
    said = bench(run, *CHEAP, code=1).stderr
    assert "a process died" in said
    assert "0 of 27 cells are kept" in said


def test_list_of_methods(run_cli):
    from ensemble.bench.methods import METHODS

    said = run_cli("bench", "--list-methods").stdout
    assert all(f"  {method.name}" in said and method.description in said for method in METHODS)


def test_quiet(bench, run):
    assert bench(run, *CHEAP, "--quiet").output == ""


def test_progress_counts_cells_and_those_of_an_earlier_run(bench, run, tmp_path):
    pace = Pace(line_every=-1.0)
    said = bench(run, *CHEAP, obj=pace).stderr
    assert [line.split(",")[0] for line in said.splitlines()] == [
        "measuring: 9 of 27 cells",
        "measuring: 18 of 27 cells",
    ]
    path = tmp_path / "bench.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:10]))
    said = bench(run, *CHEAP, obj=pace).stderr
    assert [line.split(",")[0] for line in said.splitlines()] == ["measuring: 18 of 27 cells"]


def test_few_draws_are_called_rough(bench, run, tmp_path):
    said = "2 draws: intervals are rough; 20 or more are usual (--draws)."
    page = tmp_path / "bench.html"
    assert bench(run, *CHEAP, "--html", page).stdout.replace("\n", " ").count(said) == 2
    assert page.read_text().count(said) == 1
    words = ("--methods", "temperature", "--overwrite")
    for draws in (1, 10):
        assert "rough" not in bench(run, *words, "--draws", draws).stdout


def test_a_folder_of_run_directories_names_them(bench, run, tmp_path):
    for name in "abc":
        make_run(tmp_path / "many" / name, n_fit=10, n_test=10)
    told = bench(tmp_path / "many", code=1).stderr
    said = f"skipped {tmp_path}/many: is not a run directory but contains some: a, b, c; pass "
    assert f"Warning: {said}{tmp_path}/many/*/\n" in told
    make_run(tmp_path / "many" / "d", n_fit=10, n_test=10)
    assert "contains some: a, b, c, ...; pass" in bench(tmp_path / "many", code=1).stderr
    make_run(tmp_path / "task" / "inner", n_fit=10, n_test=10)
    (run / "labels.test.npy").unlink()  # a run directory itself
    assert "must hold labels.test.npy" in bench(run, code=1).stderr
    (tmp_path / "empty").mkdir()
    assert "must hold <model>.val.npy" in bench(tmp_path / "empty", code=1).stderr


def test_shuffled_labels_are_told(bench, run, tmp_path):
    np.random.default_rng(0).shuffle(labels := np.load(run / "labels.test.npy"))
    np.save(run / "labels.test.npy", labels)
    page = tmp_path / "bench.html"
    result = bench(run, *CHEAP, "--json", "--html", page)
    (told,) = json.loads(result.stdout)["warnings"]
    assert told.startswith("task: on test, good (")
    assert "% right) agree with labels.test no better than with labels in random order" in told
    assert result.stderr.count(f"Warning: {told}\n") == 1
    assert f"<strong>Warning:</strong> {told}" in page.read_text()
    assert bench(run, *CHEAP, "--quiet").stderr == ""
    with pytest.warns(UserWarning, match="task: on test, good .* no better than with labels in"):
        benchmark(run, methods=("temperature",), draws=1)


def test_an_interrupted_run_goes_on(bench, run, tmp_path, monkeypatch):
    whole = tmp_path / "whole.jsonl"
    bench(run, *CHEAP, "-o", whole)
    from ensemble.bench.runner import measure_unit

    calls = []

    def measure(*args, **given):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure_unit(*args)

    monkeypatch.setattr("ensemble.bench.runner.measure_unit", measure)
    path = tmp_path / "bench.jsonl"
    told = bench(run, *CHEAP, code=1).stderr
    kept = f"interrupted: 9 of 27 cells are kept in {path}; run the same command again to continue"
    assert told == f"Error: {kept}\n"
    with monkeypatch.context() as patch:
        patch.setattr("cli.run.benchmark.Measurement.write", measure)
        patch.setattr("ensemble.bench.runner.measure_unit", measure_unit)
        calls[:] = [()]
        told = bench(run, *CHEAP, code=1).stderr
        assert told == f"Error: interrupted; already written: {path}\n"
    bench(run, *CHEAP)
    assert path.read_bytes() == whole.read_bytes()


def test_decisions(run_cli, run):
    words = ("--decisions", "--draws", 2, "--costly", 1, "--shift", "none,longtail:5")
    said = run_cli("bench", run, *words).stdout
    for word in ("Abstention with a bounded error", "Conformal sets of 90.00 %", "Class weights"):
        assert word in said
    found = json.loads(run_cli("bench", run, *words, "--json").stdout)
    assert {record["shift"] for record in found["results"]} == {"none", "longtail:5"}


@pytest.mark.parametrize(
    "words",
    ["--html x.html", "--methods map", "--metric mcc", "--jobs 2", "--output x.jsonl"],
)
def test_options_of_methods_are_refused_for_decisions(words, run_cli, run):
    message = run_cli("bench", run, "--decisions", *words.split(), code=2).stderr
    assert f"{words.split()[0]} is for methods; omit it, or --decisions" in message


def test_draws_of_decisions_are_refused_for_methods(run_cli, run):
    message = run_cli("bench", run, "--costly", "3", code=2).stderr
    assert "--costly is for --decisions" in message
