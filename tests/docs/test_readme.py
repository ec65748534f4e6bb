"""The README's blocks run; it names every command and method, and is short."""

import re
import runpy
from dataclasses import fields

import pytest

from tests.pages import FENCE, ROOT, run

README = ROOT / "README.md"


def test_blocks(beside_demo, run_cli, capsys):
    assert run(README, run_cli) == 8


def test_it_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_it_names_every_command_and_method():
    from cli.commands.calibrate import calibrate_command
    from cli.commands.ensemble import FITTED, VOTES
    from cli.main import COMMANDS
    from ensemble import TrainingOptions

    (methods,) = [p for p in calibrate_command.params if p.name == "method"]
    code = re.findall(r"`([^`\n]+)`", FENCE.sub("", README.read_text(encoding="utf-8")))
    named = set(re.findall(r"[\w-]+", " ".join(code)))
    assert {*COMMANDS, *VOTES, *FITTED, *methods.type.choices} <= named
    assert {field.name for field in fields(TrainingOptions)} <= named


def test_the_overview_of_commands_is_that_of_the_help():
    from cli.main import COMMANDS

    page = (ROOT / "docs" / "reference" / "commands" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r'^\| <a id="(\w+)"></a>`\1` \| (.+) \|$', page, re.MULTILINE)
    assert dict(rows) == COMMANDS


def test_the_picture_is_drawn_from_the_tables():
    script = runpy.run_path(ROOT / "docs" / "pictures" / "gain_and_loss.py")
    assert script["PICTURE"].read_text(encoding="utf-8") == script["picture"]()


@pytest.mark.parametrize(
    "page",
    [README, ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(page):
    """Relative links, and the headings or marks in pages that they name, here as on the site."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link, place in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text):
        if "://" in link:
            continue
        target = page.parent / link if link else page
        assert target.exists(), link
        if place:
            assert place in places(target), f"{link}#{place}"


def places(page):
    """What a link may name in a page: its headings as GitHub and the site write them, and marks."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    marks = re.findall(r'<a id="(\w+)">', text)
    return {re.sub(r"[^\w -]", "", each.lower()).strip().replace(" ", "-") for each in headings} | {
        *marks
    }
