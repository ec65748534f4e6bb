"""Requests to terminate end a command as Ctrl-C does."""

import os
import signal
import threading
import time

import pytest

from postproc.jobs.interrupts import SIGNALS, terminable


def test_a_request_to_terminate_is_an_interrupt():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_of_another_language_becomes_the_default(monkeypatch):
    put_back = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: put_back.append(handler))
    with terminable():
        pass
    assert put_back[len(SIGNALS) :] == [signal.SIG_DFL] * len(SIGNALS)


def test_other_threads_are_left_alone():
    def work():
        with terminable():
            done.append(signal.getsignal(signal.SIGTERM))

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_an_interrupt_that_python_drops_is_raised_again():
    class Dying:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def work():
        Dying()
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), terminable():
        work()
    with pytest.raises(KeyboardInterrupt), terminable():  # as before where it is not dropped
        signal.raise_signal(signal.SIGTERM)
