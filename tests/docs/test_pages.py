"""Every code block of every page runs, and prints what the page shows."""

import pytest

from tests.pages import ROOT, blocks, commands, run, same_output

DOCS = ROOT / "docs"
#: Pages with tests of their own.
ELSEWHERE = {"codes.md", "completion.md", "files.md", "installing.md", "training.md"}
#: Trees of folders.
NOT_CODE = {"architecture.md"}
SLOW = {"howto/few-shots.md", "methods/devil.md", "large.md", "text-members.md"}
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if blocks(path) and path.name not in ELSEWHERE | NOT_CODE
)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in PAGES],
)
def test_blocks(page, beside_demo, run_cli):
    assert run(DOCS / page, run_cli) > 0


def test_blocks_that_nothing_runs_fail(tmp_path, run_cli):
    page = tmp_path / "page.md"
    page.write_text("```bash\necho\n```\n")
    with pytest.raises(AssertionError, match="nothing runs"):
        run(page, run_cli)
    page.write_text("```console\n$ ls\n```\n")
    with pytest.raises(AssertionError, match="nothing runs ls"):
        run(page, run_cli)


def test_output_is_compared(tmp_path, run_cli):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('gain', 1.23)\n```\n\n```text\ngain 1.30\n```\n")
    assert run(page, run_cli) == 1
    page.write_text("```python\nprint('gain', 1.23)\n```\n\n```text\ngain 2.30\n```\n")
    with pytest.raises(AssertionError, match="prints"):
        run(page, run_cli)


def test_numbers_may_differ_a_little_and_words_may_not():
    actual = "warning: three\n  a   0.50   12 rows\n ─────\n  b   0.70   99 rows\n"
    assert same_output("a 0.51 12 rows b 0.7 99 rows", actual)
    assert same_output("warning: three\n...\nb 0.7 99 rows", actual)
    assert not same_output("a 0.51 12 rows b 0.7 120 rows", actual)
    assert not same_output("b 0.7 99 rows\n...\na 0.51 12 rows", actual)
    assert not same_output("a 0.51 12 columns", actual)


def test_commands_of_a_block():
    first, second = commands(
        "$ postproc can a.npy \\\n    --prior uniform\nall well\n$ make demo\n"
    )
    assert first.words == ("postproc", "can", "a.npy", "--prior", "uniform")
    assert first.shown == "all well\n"
    assert second.words == ("make", "demo")
