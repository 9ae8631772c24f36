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


@pytest.mark.parametrize("section", ["Start", "Commands"])
def test_readme_says_how_the_environment_is_made_active(section):
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    assert ". .venv/bin/activate" in text and r".venv\Scripts\activate" in text


def test_every_suggested_command_needs_the_active_environment_and_nothing_else():
    """README has one sentence for all of them, so none may name a Python of its own."""
    files = [PROJECT / "Home.py", *(PROJECT / "fer_core").rglob("*.py"), *(PROJECT / "pages").rglob("*.py")]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert ".venv" not in text and "bin/python" not in text, file
        assert not re.search(r"(?<!python) -m (fer_core|tests|benchmarks)\b(?!\.)", text), file


def test_no_command_is_documented_that_does_not_exist():
    known = commands()
    for line in re.findall(r"python -m fer_core ([a-z][a-z -]*)", README):
        assert any(line.startswith(command) for command in known), line


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_linked_file_exists(path):
    assert (PROJECT / path).exists()
