import json
import subprocess
import sys

import numpy as np
import pytest

from ensemble.bench.protocol import measure_unit
from ensemble.bench.runner import benchmark

WANTED = {"methods": ["temperature", "soft"], "shifts": ["none", "longtail:5"], "draws": 2}


@pytest.fixture
def run(make, tmp_path):
    return make(tmp_path / "task", n_fit=40, n_test=40)


@pytest.fixture
def path(run, tmp_path):
    benchmark(run, **WANTED, output=tmp_path / "bench.jsonl")
    return tmp_path / "bench.jsonl"


def test_header_and_cells(path, lines):
    header, *cells = lines(path)
    assert list(header) == [
        "format", "postproc", "seed", "draws", "rows", "shifts", "methods", "tasks",
    ]  # fmt: skip
    assert header["methods"] == {"member": ["temperature"], "ensemble": ["soft"]}
    (task,) = header["tasks"]
    assert (task["task"], task["models"], task["classes"]) == ("task", ["good", "sharp"], 3)
    assert [(c["model"], c["method"], c["shift"]) for c in cells] == [
        ("all members", "soft", "none"),
        ("all members", "soft", "longtail:5"),
        ("good", "temperature", "none"),
        ("good", "temperature", "longtail:5"),
        ("sharp", "temperature", "none"),
        ("sharp", "temperature", "longtail:5"),
    ]
    assert list(cells[0]) == [
        "task", "model", "scope", "shift", "method",
        "n", "right", "baseline", "fixed", "broken", "error",
    ]  # fmt: skip
    assert all(len(cell["right"]) == 2 and cell["n"] == [40, 40] for cell in cells)


def test_times_lie_beside(path, lines):
    times = lines(path.with_name("bench.seconds.jsonl"))
    assert len(times) == 6
    assert set(times[0]) == {
        "task", "model", "scope", "shift", "method", "fit_seconds", "seconds",
    }  # fmt: skip


def test_complete_file_is_only_read(run, path, monkeypatch):
    before = path.read_bytes(), path.with_name("bench.seconds.jsonl").read_bytes()
    monkeypatch.setattr("ensemble.bench.runner.measure_unit", None)
    found = benchmark(run, **WANTED, output=path)
    assert len(found) == 6
    assert all(result.seconds is not None for result in found)
    assert before == (path.read_bytes(), path.with_name("bench.seconds.jsonl").read_bytes())


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_torn_last_line_is_cut_and_measured_again(run, path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    times = path.with_name("bench.seconds.jsonl")
    times.write_bytes(times.read_bytes()[:-cut])
    assert len(benchmark(run, **WANTED, output=path)) == 6
    assert path.read_bytes() == whole
    for line in times.read_text().splitlines():
        assert "fit_seconds" in json.loads(line)


def test_lost_times_are_unknown(run, path):
    path.with_name("bench.seconds.jsonl").unlink()
    assert {result.seconds for result in benchmark(run, **WANTED, output=path)} == {None}


def test_other_options_are_an_error_that_says_what_differs(run, path):
    before = path.read_bytes()
    other = WANTED | {"draws": 3, "methods": ["soft"]}
    with pytest.raises(FileExistsError, match=r"`draws` was 2 and is 3 now\).*--overwrite"):
        benchmark(run, **other, output=path)
    assert path.read_bytes() == before
    assert len(benchmark(run, **other, output=path, overwrite=True)) == 2
    assert path.read_bytes() != before


def test_other_files_are_another_benchmark(run, path):
    labels = np.load(run / "labels.test.npy")
    labels[0] = 2 - labels[0] if labels[0] != 1 else 0
    np.save(run / "labels.test.npy", labels)
    with pytest.raises(FileExistsError, match=r"another run \(`tasks\[0\]"):
        benchmark(run, **WANTED, output=path)


def test_overwriting_does_not_throw_away_results_that_would_be_the_same(run, path, monkeypatch):
    monkeypatch.setattr("ensemble.bench.runner.measure_unit", None)
    assert len(benchmark(run, **WANTED, output=path, overwrite=True)) == 6


MEMBERS = WANTED | {"methods": ["bcts", "em"]}


def _out_of_memory(*args, **kwargs):
    raise MemoryError


@pytest.fixture
def failed(run, tmp_path, monkeypatch):
    """A file whose cells of `em` have failed, and the bytes of one without failures."""
    benchmark(run, **MEMBERS, output=tmp_path / "sound.jsonl")

    with monkeypatch.context() as patch:
        patch.setattr("ensemble.bench.member_methods.em_prior", _out_of_memory)
        found = benchmark(run, **MEMBERS, output=tmp_path / "failed.jsonl")
    assert [result.error is None for result in found] == [True, True, False, False] * 2
    return tmp_path / "failed.jsonl", (tmp_path / "sound.jsonl").read_bytes()


@pytest.mark.parametrize("overwrite", [False, True])
def test_failures_are_measured_again_and_nothing_else(run, failed, monkeypatch, overwrite):
    path, sound = failed
    measured = []

    def watch(unit, settings, wanted):
        measured.extend(sorted(cell.method for cell in wanted))
        return measure_unit(unit, settings, wanted.intersection(unit.cells))

    monkeypatch.setattr("ensemble.bench.runner.measure_unit", watch)
    found = benchmark(run, **MEMBERS, output=path, overwrite=overwrite)
    assert set(measured) == {"em"}
    assert path.read_bytes() == sound
    assert all(result.error is None and result.seconds is not None for result in found)


def test_a_failure_that_stays_keeps_its_place(run, failed, monkeypatch):
    path, _ = failed
    before = path.read_bytes()
    monkeypatch.setattr("ensemble.bench.member_methods.em_prior", _out_of_memory)
    again = benchmark(run, **MEMBERS, output=path)
    assert [result.error for result in again].count("MemoryError: ") == 4
    assert path.read_bytes() == before


def test_a_run_that_stops_among_its_failures_goes_on_all_the_same(run, failed):
    path, sound = failed
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))  # two failures are there, and three cells are not
    seen = []

    def stop(done, total):
        seen.append((done, total))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        benchmark(run, **MEMBERS, output=path, progress=stop)
    assert seen == [(5, 8)]  # three of five were kept, and two failures have been mended
    assert path.read_bytes() == b"".join(sound.splitlines(keepends=True)[:6])
    benchmark(run, **MEMBERS, output=path)
    assert path.read_bytes() == sound


@pytest.mark.parametrize("text", ["my notes\n", '{"a": 1}\n', "[1, 2]\n", "\xff\xfe no text"])
@pytest.mark.parametrize("name", ["bench.jsonl", "bench.seconds.jsonl"])
def test_a_foreign_file_is_never_touched(run, tmp_path, text, name):
    (tmp_path / name).write_text(text + "\n", encoding="latin-1")
    before = (tmp_path / name).read_bytes()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="was not made by postproc bench"):
            benchmark(run, **WANTED, output=tmp_path / "bench.jsonl", overwrite=overwrite)
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.glob("*.jsonl")] == [name]


def test_an_empty_file_is_a_new_one(run, path):
    whole = path.read_bytes()
    path.write_bytes(b"")
    benchmark(run, **WANTED, output=path)
    assert path.read_bytes() == whole


def test_a_cell_out_of_place_is_an_error(run, path):
    header, first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([header, second, first, *rest]))
    with pytest.raises(ValueError, match="line 2 is not the cell that belongs there"):
        benchmark(run, **WANTED, output=path)


@pytest.mark.parametrize("at", [1, 2, -1])
def test_lines_that_are_no_cells_are_replaced_on_request(run, path, at):
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    lines[at] = b"{torn\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"is not the cell that belongs there; .*\(--overwrite\)"):
        benchmark(run, **WANTED, output=path)
    assert path.read_bytes() == b"".join(lines)
    results = benchmark(run, **WANTED, output=path, overwrite=True)
    assert path.read_bytes() == whole
    assert len(results) == len(lines) - 1


@pytest.mark.parametrize("name", ["nowhere/bench.jsonl", "bench.txt"])
def test_bad_output(run, tmp_path, name):
    with pytest.raises((OSError, ValueError), match=r"does not exist|suffix"):
        benchmark(run, **WANTED, output=tmp_path / name)


def test_two_runs_do_not_mix_cells_in_one_file(run, tmp_path):
    path, refused = tmp_path / "bench.jsonl", []

    def second(done, total):
        for overwrite in (False, True):
            for seed in (0, 1):
                with pytest.raises(FileExistsError) as error:
                    benchmark(run, **WANTED, seed=seed, output=path, overwrite=overwrite)
                refused.append(str(error.value))

    benchmark(run, **WANTED, output=path, progress=second)
    said = f"{path}: another job is writing this output; wait for it or name another output"
    assert set(refused) == {said}
    benchmark(run, **WANTED, output=tmp_path / "alone.jsonl")
    assert path.read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    names = [f"{stem}.{end}" for stem in ("alone", "bench") for end in ("jsonl", "seconds.jsonl")]
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == names


#: Runs a benchmark on a results file; which of two gets it is a matter of chance.
ONE_OF_TWO = """
import sys
from ensemble.bench.runner import benchmark
run, output, seed = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
benchmark(run, methods=["temperature", "soft"], shifts=["none"], draws=2, output=output,
          seed=int(seed))
"""


@pytest.mark.slow
def test_of_two_processes_with_two_seeds_one_writes_the_file(run, tmp_path):
    alone = [tmp_path / f"alone{seed}.jsonl" for seed in (0, 1)]
    wanted = {"methods": ["temperature", "soft"], "shifts": ["none"], "draws": 2}
    for seed, path in enumerate(alone):
        benchmark(run, **wanted, seed=seed, output=path)
    for trial in range(3):
        path = tmp_path / f"{trial}.jsonl"
        both = [
            subprocess.Popen([sys.executable, "-c", ONE_OF_TWO, str(run), str(path), str(seed)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
            for seed in (0, 1)
        ]  # fmt: skip
        for process in both:
            assert process.stdout.readline() == "ready\n"
        for process in both:
            process.stdin.write("\n")
            process.stdin.flush()
        errors = [process.communicate()[1] for process in both]
        (loser,) = [seed for seed in (0, 1) if both[seed].returncode]
        assert "another job is writing" in errors[loser] or "another run" in errors[loser]
        assert path.read_bytes() == alone[1 - loser].read_bytes()


@pytest.mark.parametrize("change", ["cell", "header"])
def test_a_file_that_was_written_to_is_not_appended_to(run, tmp_path, change):
    path = tmp_path / "bench.jsonl"

    def intrude(done, total):
        content = path.read_bytes()
        if change == "cell":
            path.write_bytes(content + b"{}\n")
        else:  # of one length
            path.write_bytes(content.replace(b'"seed": 0', b'"seed": 1', 1))

    with pytest.raises(ValueError, match="another run has written to it"):
        benchmark(run, **WANTED, output=path, progress=intrude)
