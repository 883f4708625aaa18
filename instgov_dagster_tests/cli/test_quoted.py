"""What the documents tell a person to type: every command exists, and the cheap ones run."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.cli import app
from instgov_dagster.cli.instance import open_instance
from instgov_dagster_tests.defs.automation.test_watching import beat
from instgov_dagster_tests.repository.roadmap import ROOT

PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), ROOT / "data" / "README.md"])
FENCED = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)
QUOTED = re.compile(r"^(?:\.venv/bin/)?instgov ((?:\S+ ?)+?)(?:  .*)?$", re.MULTILINE)
#: Commands that read: run on a copy of a recorded home, with the words a document leaves open.
CHEAP = (
    "status", "why", "audit verify", "audit replay", "audit compact", "audit export", "veto list",
    "report", "rebuild", "health",
)  # fmt: skip
OPEN_WORDS = {"SYMBOL": "KO", "FILE": "report.html", "report.html": "report.html", "DIR": "out"}


def quoted() -> list[tuple[str, str]]:
    """Every command of a fenced block, with the page it stands on."""
    return sorted(
        {
            (path.name, line.strip())
            for path in PAGES
            for block in FENCED.findall(path.read_text(encoding="utf-8"))
            for line in QUOTED.findall(block)
        }
    )


def resolved(line: str) -> tuple[Any, list[str], list[str]]:
    """Find the command a line names; give it, its own words and the words after them."""
    command: Any = typer.main.get_command(app)
    words, path = shlex.split(line), []
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"instgov {line}"
        path.append(words.pop(0))
        command = command.commands[path[-1]]
    return command, path, words


def test_the_documents_quote_commands() -> None:
    assert len(quoted()) >= 12


@pytest.mark.parametrize(("page", "line"), quoted())
def test_each_quoted_command_and_each_of_its_options_exists(page: str, line: str) -> None:
    del page
    command, _, rest = resolved(line)
    known = {name for param in command.params for name in param.opts}
    assert {word for word in rest if word.startswith("--")} <= known | {"--help"}


def cheap() -> list[str]:
    lines = {line for _, line in quoted()}
    return sorted(
        line
        for line in lines
        if " ".join(resolved(line)[1]) in CHEAP and not {"ID", "--serve"} & set(line.split())
    )


@pytest.mark.parametrize("line", cheap())
def test_each_cheap_command_runs_as_it_is_quoted(ran: Path, tmp_path: Path, line: str) -> None:
    home = tmp_path / "data"
    shutil.copytree(ran / "data", home)
    with open_instance(home) as instance:  # without a daemon's heartbeat no home is healthy
        beat(instance, RealClock().now())
    words = [
        str(tmp_path / OPEN_WORDS[word]) if word.endswith(("FILE", ".html", "DIR")) else
        OPEN_WORDS.get(word, word)
        for word in shlex.split(line)
    ]  # fmt: skip
    places = {"--home": str(home), "--config": str(ran / "config")}
    known = {name for param in resolved(line)[0].params for name in param.opts}
    words += [word for name, place in places.items() if name in known for word in (name, place)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
