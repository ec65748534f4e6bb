"""Progress: lines in a log, a bar in a terminal, nothing where it is quiet."""

import click

from cli.progress import Pace, duration, watching


def test_long_jobs_say_how_far_they_are(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 40.0, 50.0, 80.0])
    monkeypatch.setattr("cli.progress.time.monotonic", lambda: next(clock))
    with watching("writing out.npy", 1000) as advance:
        for _ in range(4):
            advance(250)
    assert capsys.readouterr().err == ("writing out.npy: 500 of 1000 rows, 8 rows/s, 60 s left\n")
    assert [duration(s) for s in (5, 100, 7260)] == ["5 s", "2 min", "2 h 01 min"]


def test_a_terminal_shows_a_bar_and_quiet_shows_none(monkeypatch, capsys):
    class Terminal:
        def __init__(self):
            self.text = ""

        def isatty(self):
            return True

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    for quiet in (False, True):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        with (
            click.Context(click.Command("x"), obj=Pace(bar_after=-1.0)),
            watching("writing", 10, quiet=quiet) as advance,
        ):
            advance(5)
            advance(5)
        assert ("writing" in terminal.text) is not quiet
