"""Fixtures that several test files share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import settings
from numpy.typing import NDArray

# The same examples in every run, however busy the machine; `make search` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

Run = Callable[..., Result]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Iterator[None]:
    """Say at the end how many tests of pages were skipped for want of a browser."""
    yield
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    number = sum("no Chromium" in reason for reason in reasons)
    if number:
        terminalreporter.write_line(
            f"{number} tests of pages were skipped for want of a browser: install Chromium "
            "(apt-get install chromium) or Google Chrome; REQUIRE_BROWSER=1 makes them fail"
        )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real predictions, never written to; absent outside the workshop."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real predictions beside the repository")
    return folder


def invoke(*args: object, code: int = 0, obj: object = None, coded: bool = False) -> Result:
    """Run `postproc` with arguments of any type; exceptions other than exits are raised.

    Messages lack their codes, which have tests of their own, unless `coded`.
    `obj` is the object of click's context: `Sizes` of blocks, or the `Pace` of progress.
    """
    from cli.main import main

    words = [str(arg) for arg in args]
    result = CliRunner().invoke(main, words, prog_name="postproc", obj=obj)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    if not coded:
        for stream in ("stdout_bytes", "stderr_bytes", "output_bytes"):
            setattr(result, stream, re.sub(rb" \[PP\d{3}\]", b"", getattr(result, stream)))
    return result


@pytest.fixture
def run_cli() -> Run:
    """The function `invoke`."""
    return invoke


@pytest.fixture
def probs() -> NDArray[np.float64]:
    """Twenty rows of four classes, confident ones and doubtful ones."""
    return np.random.default_rng(0).dirichlet([0.5] * 4, 20)
