"""Engine that computes blocks on Dask workers: processes of this machine, or of a cluster.

Blocks are tasks of Dask's scheduler, not chunks of a `dask.array`: a part reads and writes its rows
by path, so an array would only carry handles, and every part would need a second version for
chunks. Dask still chooses the worker, repeats the tasks of dead workers, and has its dashboard.
Workers see the same files under the same paths and have the same postproc, NumPy and Python.
"""

from __future__ import annotations

import logging
import operator
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from postproc.scores.checks import check_count, fail
from postproc.scores.threads import one_blas_thread

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

T = TypeVar("T")

#: Tasks in flight for each worker thread: one that runs, and others that hide the time in which
#: its result is fetched and the next one is sent.
TASKS_PER_THREAD = 3

#: Fewest tasks in flight: with 20 or more Dask keeps a copy of the part on every worker; with
#: fewer it drops copies and sends them again.
LEAST_TASKS = 24

#: Most blocks per task: a task costs Dask a few milliseconds, as long as some blocks take. Each
#: thread gets at least TASKS_EACH tasks, so that no worker waits long for another at the end.
BLOCKS_PER_TASK = 4
TASKS_EACH = 16

#: How far tasks may run ahead of a slow one, in multiples of those in flight; their results wait
#: until it is done.
LEAD = 4

#: Run by each local worker first: Ctrl-C reaches all processes of a terminal, but only the one that
#: distributes the work should respond.
WORKER_PRELOAD = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@dataclass(frozen=True)
class _Parcel:
    """A part, or its results, pickled as one: Dask's zero-copy arrays may be misaligned in memory.

    NumPy multiplies misaligned arrays in another order, which changes the last digits.
    """

    content: Any

    def __reduce__(self) -> tuple[Any, ...]:
        from distributed.protocol import pickle

        return _unpack, (pickle.dumps(self.content),)

    def __call__(self, cuts: Sequence[slice]) -> _Parcel:
        """Compute some blocks with one BLAS thread, as LocalEngine does."""
        with one_blas_thread():
            return _Parcel([self.content(rows) for rows in cuts])


def _unpack(data: bytes) -> _Parcel:
    """Unpickle a parcel; its arrays get memory of their own."""
    from distributed.protocol import pickle

    return _Parcel(pickle.loads(data))


class DaskEngine:
    """Computes blocks on the workers of a Dask client, which stays open."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def dashboard(self) -> str | None:
        """Address of Dask's dashboard, None without bokeh."""
        return self.client.dashboard_link if find_spec("bokeh") is not None else None

    def _n_threads(self) -> int:
        """Number of threads of all current workers; 1 while all are restarting."""
        from distributed.comm import CommClosedError

        try:
            threads: dict[str, int] = self.client.nthreads()
        except OSError as error:  # no answer in time
            raise CommClosedError(str(error)) from error
        return max(1, sum(threads.values()))

    def run(self, part: Callable[[slice], T], cuts: Sequence[slice]) -> Iterator[tuple[int, T]]:
        """Yield (i, part(cuts[i])) as results come; errors of a part are raised unchanged."""
        import dask
        from distributed import as_completed
        from distributed.comm import CommClosedError
        from distributed.protocol import pickle
        from distributed.scheduler import KilledWorker
        from distributed.utils import CancelledError

        client = self.client
        name = f"{getattr(part, 'func', type(part)).__name__}-{uuid.uuid4().hex}"
        # A task can be repeated, where scattered data is lost when workers die. Bytes need no
        # postproc in the scheduler; that they may be large is known.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
            held = client.submit(pickle.loads, pickle.dumps(_Parcel(part)), key=f"part-{name}")
        done = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        size = min(BLOCKS_PER_TASK, max(1, len(cuts) // (TASKS_EACH * self._n_threads())))
        tasks = [cuts[start : start + size] for start in range(0, len(cuts), size)]
        pending: dict[int, Future] = {}  # in the order of the tasks
        todo = 0

        def submit() -> None:
            """Keep all threads busy, also those of workers that have joined since."""
            nonlocal todo
            window = max(LEAST_TASKS, TASKS_PER_THREAD * self._n_threads())
            first = next(iter(pending), todo)
            stop = min(len(tasks), todo + window - len(pending), first + LEAD * window)
            numbers = range(todo, stop)
            if numbers:
                futures = client.map(
                    operator.call,
                    [held] * len(numbers),
                    tasks[todo:stop],
                    key=[(name, number) for number in numbers],
                )
                pending.update(zip(numbers, futures, strict=True))
                done.update(futures)
                todo = stop

        try:
            submit()
            while pending:
                batch = done.next_batch()
                for future, result in batch:
                    if isinstance(result, CancelledError):
                        raise result
                    del pending[future.key[1]]
                submit()
                batch.sort(key=lambda each: each[0].status == "error")  # results before errors
                for future, result in batch:
                    if future.status == "error":
                        raise result[1].with_traceback(result[2])
                    yield from enumerate(result.content, size * future.key[1])
        except KilledWorker as error:
            task, deaths = tasks[future.key[1]], error.allowed_failures + 1
            msg = (
                f"{deaths} Dask worker{'s' if deaths > 1 else ''} died at or near rows "
                f"{task[0].start}..{task[-1].stop - 1}, perhaps out of memory"
            )
            raise ConnectionError(msg) from error
        except (CancelledError, CommClosedError) as error:
            msg = "the Dask scheduler no longer answers or has dropped the blocks"
            raise ConnectionError(msg) from error
        finally:
            if pending and client.status == "running":
                client.cancel(list(pending.values()))


@contextmanager
def dask_engine(
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    name: str = "scheduler",
    timeout: float = 10.0,
) -> Iterator[DaskEngine]:
    """Engine on a running scheduler, which messages call `name`, or on new local processes.

    The scheduler has `timeout` seconds to answer and to have a worker, else a ConnectionError is
    raised. By default there are as many processes as cores, each with one thread.
    """
    try:
        from distributed import Client
    except ImportError:
        msg = 'the dask engine requires Dask; pip install "postproc[dask]"'
        raise ImportError(msg) from None
    if scheduler is not None and workers is not None:
        fail("workers", f"None if `{name}` is given", workers)
    with _silence(), ExitStack() as stack:
        with _interruptible(), ExitStack() as started:
            if scheduler is None:
                with _ctrl_c_held():
                    at = started.enter_context(_local_cluster(workers))
            else:
                at = _answering(scheduler, name, timeout)
            client = started.enter_context(Client(at, timeout=timeout, set_as_default=False))
            _check_workers(client, name, timeout)
            stack.enter_context(started.pop_all())
        yield DaskEngine(client)


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Delay Ctrl-C until the block ends, and block it for good in the processes it starts."""
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    if not (in_main and callable(handler) and hasattr(signal, "pthread_sigmask")):
        yield  # Windows, or Ctrl-C would interrupt nothing
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starting it unblocks signals in this thread
    held: list[int] = []  # signals that came to another thread, which blocks none
    signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    # Processes inherit it, and else would die with tracebacks before they reach WORKER_PRELOAD.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt where Dask turns one into an error while it starts."""
    try:
        yield
    except Exception as error:
        behind: BaseException | None = error
        while behind is not None:
            if isinstance(behind, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            behind = behind.__cause__ or behind.__context__
        raise


def _local_cluster(workers: int | None) -> LocalCluster:
    """Worker processes on this machine, one thread each, on free ports."""
    import dask
    from dask.system import CPU_COUNT
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    count = CPU_COUNT if workers is None else check_count(workers, "workers", low=1)
    # Dask makes malloc return memory at once; doing so for every block slows soft voting by 20 %.
    name = "distributed.nanny.pre-spawn-environ"
    environment = dict(dask.config.get(name))
    environment.pop("MALLOC_TRIM_THRESHOLD_", None)
    with dask.config.set({name: environment}):
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=MEMORY_LIMIT // count,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            preload=[*dask.config.get("distributed.worker.preload"), WORKER_PRELOAD],
        )


def _answering(address: str, name: str, timeout: float) -> str:
    """Return the address once a scheduler has answered there."""
    from distributed.comm import connect
    from distributed.security import Security
    from distributed.utils import LoopRunner

    async def knock() -> None:
        security = Security().get_connection_args("client")
        comm = await connect(address, timeout=timeout, **security)
        await comm.close()

    try:  # a client without an answer would log another error when it is garbage-collected
        LoopRunner().run_sync(knock)
    except (OSError, ValueError):
        msg = f"`{name}` must be an address that answers, got {address}"
        raise ConnectionError(msg) from None
    return address


def _check_workers(client: Client, name: str, timeout: float, package: str = "postproc") -> None:
    """Check that there are workers and that they have the same version of postproc."""
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError:
        msg = (
            f"`{name}` must have workers, got none at {address}; "
            f"start some: dask worker {address} --nthreads 1"
        )
        raise ConnectionError(msg) from None
    ours = version("postproc")
    for worker, found in client.run(version, package, on_error="return").items():
        if found != ours:
            got = found if isinstance(found, str) else "none"
            msg = (
                f"the Dask worker {worker} must have postproc {ours}, got {got}; "
                "install the same version everywhere"
            )
            raise ImportError(msg)


@contextmanager
def _silence() -> Iterator[None]:
    """Silence Dask's loggers: what matters is raised as an exception."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
