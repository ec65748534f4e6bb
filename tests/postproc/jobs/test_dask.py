"""The engine of Dask, on two worker processes that are killed now and then."""

import os
import re
import signal
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from postproc import alternating_normalization
from postproc.jobs import dask as module
from postproc.jobs.engine import LocalEngine, map_blocks
from postproc.jobs.write import Output, StoppedError, write
from postproc.scores.sources import NpySource, SourceChangedError

distributed = pytest.importorskip("distributed")

N, C = 600, 6
CUTS = tuple(slice(start, start + 10) for start in range(0, N, 10))


@pytest.fixture(scope="module")
def engine():
    with module.dask_engine(workers=2) as made:
        yield made


@pytest.fixture
def mortal():
    """Workers for one test alone, which kills some: no other waits until Dask has replaced them."""
    with module.dask_engine(workers=2) as made:
        yield made


@dataclass(frozen=True)
class Sums:
    """Sums of the rows of a file, by path."""

    source: NpySource

    def __call__(self, rows):
        return self.source[rows].sum(axis=0)


@dataclass(frozen=True)
class Marks:
    """Leaves a file for each call in a folder, and one for each time it is unpickled."""

    folder: str

    def __call__(self, rows):
        self.mark(f"called-{rows.start}")
        return rows.start

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.mark("loaded")

    def mark(self, name):
        Path(self.folder, f"{name}-{os.getpid()}-{uuid.uuid4()}").touch()

    def count(self, name):
        return len(list(Path(self.folder).glob(f"{name}-*")))

    def pids(self, name):
        return {int(path.name.split("-")[2]) for path in Path(self.folder).glob(f"{name}-*")}


@dataclass(frozen=True)
class Raises:
    """Fails at one block."""

    error: Exception

    def __call__(self, rows):
        if rows.start == 300:
            raise self.error
        return rows.start


@dataclass(frozen=True)
class Adjusts:
    """CAN, three iterations deep, on rows of a file; may kill its process first."""

    source: NpySource
    reference: np.ndarray
    marks: Marks
    at: int = -1
    always: bool = False

    def __call__(self, rows):
        if rows.start == self.at:
            deaths = self.marks.count("death")
            if deaths == 0 or self.always:
                self.marks.mark("death")
                os.kill(os.getpid(), signal.SIGKILL)
        self.marks.mark(f"called-{rows.start}")
        prior = np.full(C, 1 / C)
        block = alternating_normalization(self.source[rows], self.reference, prior, iterations=3)
        return block, {"rows": rows.stop - rows.start}


@dataclass
class Killing:
    """An engine one of whose workers is killed from outside when the first result is there."""

    engine: module.DaskEngine

    def run(self, part, cuts):
        pids = self.engine.client.run(os.getpid)
        for turn, each in enumerate(self.engine.run(part, cuts)):
            if turn == 0:
                self.killed = pids.popitem()[1]
                os.kill(self.killed, signal.SIGKILL)
            yield each


@pytest.fixture
def rows(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).dirichlet(np.ones(C), N))
    return NpySource.open(tmp_path / "rows.npy")


@pytest.fixture
def marks(tmp_path):
    (tmp_path / "marks").mkdir()
    return Marks(str(tmp_path / "marks"))


@pytest.fixture
def adjusts(rows, marks):
    return Adjusts(rows, rows[:200], marks)


def written(engine, part, path, **options):
    output = Output(path, (N, C), np.dtype(np.float64))
    stats = list(write(engine, part, CUTS, output, signature={}, **options))
    assert stats == [{"rows": 10}] * len(CUTS)
    return path.read_bytes()


def test_results_in_order_are_those_of_the_local_engine(engine, rows):
    told = []
    found = list(map_blocks(engine, Sums(rows), CUTS, watch=told.append))
    np.testing.assert_array_equal(found, [Sums(rows)(cut) for cut in CUTS])
    assert sum(told) == N


@dataclass(frozen=True)
class Addresses:
    """Tells whether an array lies where products of it are the usual ones, and gives some back."""

    array: np.ndarray
    padding: str  # moves the array in what is sent

    def __call__(self, rows):
        return self.array.flags.aligned, self.array[: rows.start + 1]


def test_arrays_arrive_at_proper_addresses(engine):
    for length in range(1, 9):
        part = Addresses(np.arange(10_000.0), "x" * length)
        for _, (aligned, back) in engine.run(part, [slice(i, i + 1) for i in range(20)]):
            assert aligned
            assert back.flags.aligned


def test_tasks_of_several_blocks_keep_their_numbers(engine, rows):
    cuts = [slice(start, start + 1) for start in range(150)]
    assert 1 < len(cuts) // (2 * module.TASKS_EACH) <= module.BLOCKS_PER_TASK
    found = dict(engine.run(Sums(rows), cuts))
    assert sorted(found) == list(range(150))
    for number, cut in enumerate(cuts):
        np.testing.assert_array_equal(found[number], Sums(rows)(cut))


def test_no_cuts_no_results(engine, rows):
    assert list(engine.run(Sums(rows), ())) == []


def test_a_part_goes_to_each_worker_once(engine, marks):
    assert sorted(engine.run(marks, CUTS)) == [(i, 10 * i) for i in range(len(CUTS))]
    assert marks.count("called") == len(CUTS)
    assert marks.count("loaded") <= 2


def test_closing_cancels_what_has_not_begun(engine, marks):
    many = [slice(start, start + 1) for start in range(1000)]
    results = engine.run(marks, many)
    next(results)
    results.close()
    assert list(engine.run(Raises(ValueError()), CUTS[:2])) != []  # comes after all that is left
    assert marks.count("called") <= 2 * module.LEAST_TASKS * module.BLOCKS_PER_TASK


def test_errors_of_a_part_pass_unchanged(engine):
    for error in (ValueError("`threshold` must be in [0, 1], got 1.3"), SourceChangedError("gone")):
        with pytest.raises(type(error)) as caught:
            list(engine.run(Raises(error), CUTS))
        assert type(caught.value) is type(error)
        assert str(caught.value) == str(error)


def test_a_file_that_shrinks_is_told_as_here(engine, rows):
    os.truncate(rows.path, 4096)
    with pytest.raises(SourceChangedError) as there:
        list(engine.run(Sums(rows), CUTS))
    with pytest.raises(SourceChangedError) as here:
        list(LocalEngine().run(Sums(rows), CUTS))
    assert str(there.value) == str(here.value)


def test_the_same_bytes_also_where_a_worker_dies_of_a_block(mortal, adjusts, marks, tmp_path):
    deadly = Adjusts(adjusts.source, adjusts.reference, marks, at=200)
    there = written(mortal, deadly, tmp_path / "there.npy")
    assert marks.count("death") == 1
    assert marks.count("called-200") == 1  # by another worker, or one that has taken its place
    dead = int(next(Path(marks.folder).glob("death-*")).name.split("-")[1])
    assert dead not in mortal.client.run(os.getpid).values()
    assert marks.pids("called-200").isdisjoint({dead})
    assert there == written(LocalEngine(), adjusts, tmp_path / "here.npy")


def test_the_same_bytes_where_a_worker_is_killed_midway(mortal, adjusts, marks, tmp_path):
    killing = Killing(mortal)
    there = written(killing, adjusts, tmp_path / "there.npy")
    assert killing.killed not in mortal.client.run(os.getpid).values()
    assert marks.count("called") >= len(CUTS)
    assert there == written(LocalEngine(), adjusts, tmp_path / "here.npy")


def test_too_many_deaths_keep_what_is_done(mortal, adjusts, marks, tmp_path):
    mortal.client.cluster.scheduler.allowed_failures = 1
    deadly = Adjusts(adjusts.source, adjusts.reference, marks, at=400, always=True)
    with pytest.raises(StoppedError, match="which are kept; resume with --resume") as stopped:
        written(mortal, deadly, tmp_path / "there.npy")
    # Dask blames a task that both workers had before them, not always the one that they died at.
    named = re.match(r"2 Dask workers died at or near rows (\d+)\.\.", str(stopped.value))
    assert named is not None
    assert abs(int(named[1]) - 400) <= 10 * module.LEAST_TASKS
    assert marks.count("death") == 2
    first = marks.count("called")
    there = written(LocalEngine(), adjusts, tmp_path / "there.npy", resume=True)
    assert marks.count("called") - first < len(CUTS)
    assert there == written(LocalEngine(), adjusts, tmp_path / "here.npy")


def test_workers_compute_on_one_thread_and_load_only_what_they_need(engine, adjusts, tmp_path):
    written(engine, adjusts, tmp_path / "there.npy")

    def look():
        from threadpoolctl import threadpool_info

        threads = {pool["num_threads"] for pool in threadpool_info()}
        return threads, "torch" in sys.modules, signal.getsignal(signal.SIGINT)

    for threads, has_torch, on_interrupt in engine.client.run(look).values():
        assert threads == {1}
        assert not has_torch
        assert on_interrupt == signal.SIG_IGN


@pytest.fixture
def small_cluster():
    """A scheduler and a worker in this process."""
    with (
        module._silence(),
        distributed.LocalCluster(
            n_workers=1, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        yield cluster


def test_a_scheduler_that_goes_away_is_told(small_cluster, rows):
    with module.dask_engine(scheduler=small_cluster.scheduler_address) as engine:
        results = engine.run(Sums(rows), CUTS)
        next(results)
        small_cluster.close()
        with pytest.raises(ConnectionError, match="Dask scheduler no longer answers"):
            list(results)


def test_a_scheduler_that_does_not_answer_in_time_is_told(small_cluster, rows, monkeypatch):
    with module.dask_engine(scheduler=small_cluster.scheduler_address) as engine:
        results = engine.run(Sums(rows), CUTS)
        next(results)

        def silence():
            raise OSError("Timed out trying to connect")

        monkeypatch.setattr(engine.client, "nthreads", silence)
        with pytest.raises(ConnectionError, match="Dask scheduler no longer answers"):
            list(results)


def test_a_scheduler_must_have_workers(small_cluster):
    small_cluster.scale(0)
    small_cluster.sync(small_cluster.scheduler.retire_workers)
    with (
        pytest.raises(ConnectionError, match="must have workers, got none at tcp"),
        module.dask_engine(scheduler=small_cluster.scheduler_address, timeout=0.5),
    ):
        pass


def test_workers_must_have_the_same_postproc(engine):
    with pytest.raises(ImportError, match=r"the Dask worker tcp://.* must have postproc .* got"):
        module._check_workers(engine.client, "scheduler", 10.0, package="numpy")
    with pytest.raises(ImportError, match="got none; install the same version everywhere"):
        module._check_workers(engine.client, "scheduler", 10.0, package="postproc-of-nobody")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "http://127.0.0.1:9"])
def test_an_address_must_answer(address):
    with (
        pytest.raises(ConnectionError, match="`scheduler` must be an address that answers, got"),
        module.dask_engine(scheduler=address, timeout=0.5),
    ):
        pass


@pytest.mark.parametrize("given", [{"workers": 0}, {"workers": 1, "scheduler": "tcp://x:1"}])
def test_bad_values(given):
    with pytest.raises(ValueError, match="`workers` must be"), module.dask_engine(**given):
        pass


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r'pip install "postproc\[dask\]"'), module.dask_engine():
        pass


def test_an_interruption_that_dask_turns_into_an_error_is_one(monkeypatch):
    def start(workers):
        try:
            raise KeyboardInterrupt
        finally:
            raise AssertionError("Status.init")  # as a cluster that is closed half started

    monkeypatch.setattr(module, "_local_cluster", start)
    with pytest.raises(KeyboardInterrupt), module.dask_engine(workers=1):
        pytest.fail("it has started")


def test_other_errors_of_the_start_pass_unchanged(monkeypatch):
    def start(workers):
        raise RuntimeError("no port is free")

    monkeypatch.setattr(module, "_local_cluster", start)
    with pytest.raises(RuntimeError, match="no port is free"), module.dask_engine(workers=1):
        pytest.fail("it has started")


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back")
def test_ctrl_c_waits_until_a_cluster_has_started_and_closes_it(monkeypatch):
    plain, made = module._local_cluster, []

    def start(workers):
        os.kill(os.getpid(), signal.SIGINT)
        made.append(plain(workers))
        return made[0]

    monkeypatch.setattr(module, "_local_cluster", start)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), module.dask_engine(workers=1):
            pytest.fail("it has started")
    finally:
        signal.signal(signal.SIGINT, before)
    assert made[0].status.name == "closed"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
