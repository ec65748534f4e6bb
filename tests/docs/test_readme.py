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


def test_the_picture_is_drawn_from_the_tables():
    script = runpy.run_path(ROOT / "docs" / "pictures" / "gain_and_loss.py")
    assert script["PICTURE"].read_text(encoding="utf-8") == script["picture"]()


@pytest.mark.parametrize(
    "page",
    [README, ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(page):
    """Relative links; those to pages that only the site has are checked when it is built."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        made = "://" in link or "reference/" in link or page.parent.name in ("gallery", "python")
        assert made or (page.parent / link).exists(), link
