"""The README names every page, every command and every picture it shows, and nothing that is not there."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path.stem for path in (PROJECT / "pages").glob("*.py") if path.stem != "__init__")


def commands(command=None, words=()) -> list[str]:
    """``data add``, ``train``, ... as the command line knows them."""
    if command is None:
        from fer_core.__main__ import app

        command = get_command(app)
    inner = getattr(command, "commands", {})
    if not inner:
        return [" ".join(words)]
    return [found for name, part in inner.items() for found in commands(part, (*words, name))]


@pytest.mark.parametrize("page", PAGES)
def test_page_is_documented(page):
    assert f"**{page.capitalize()}**" in README


@pytest.mark.parametrize("command", commands())
def test_command_is_documented(command):
    """Group and subcommand stand in one row of a table, or in one line of an example."""
    words = command.split()
    named = any(all(re.search(rf"[`\s]{word}\b", line) for word in words) for line in README.splitlines())
    assert named, f"README.md does not name `python -m fer_core {command}`"


def test_no_command_is_documented_that_does_not_exist():
    known = commands()
    for line in re.findall(r"python -m fer_core ([a-z][a-z -]*)", README):
        assert any(line.startswith(command) for command in known), line


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_linked_file_exists(path):
    assert (PROJECT / path).exists()
