"""The repository keeps its own rules: sizes, purity, no emoji, no address, no machine's path."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from instgov_dagster_tests.repository.roadmap import ROOT

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# A migration is never merged into another: their folder grows with the schema's history.
MAX_CHILDREN = defaultdict(
    lambda: 12,
    {
        ".": 20,
        "docs": 32,
        "instgov_dagster": 15,
        "instgov_dagster/cli/commands": 16,  # a file a command
        "instgov_dagster_tests": 15,  # its mirror
        "instgov_dagster/adapters/store/migrations": 99,
    },
)
TEXT = {
    ".cfg",
    ".csv",
    ".ini",
    ".json",
    ".lock",
    ".md",
    ".py",
    ".sql",
    ".toml",
    ".txt",
    ".yaml",
    "",
}
EMOJI = re.compile(
    "[\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23fa\ufe0f\U0001f000-\U0001faff]"
)
# Written so that this file does not itself name what it looks for.
REGISTRY = re.compile(r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|deb[.]debian")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|opt/\w+|tmp/\w+)/")
# Third parties the pure core may know; whatever is not here needs a decision, not an import.
NUMERICS = frozenset({"cvxpy", "exchange_calendars", "highspy", "numpy", "polars", "scipy"})
ALLOWED = {
    "vocabulary": frozenset[str](),
    "bars": NUMERICS,
    "beliefs": NUMERICS | {"arch"},
    "capital": NUMERICS,
    "governance": NUMERICS,
}


@cache
def tracked() -> tuple[Path, ...]:
    """List what is, or would be, committed: relative paths, ignored files left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout, nothing is tracked: {error}")
    paths = (Path(name) for name in answer.stdout.split("\0") if name)
    return tuple(sorted({path for path in paths if (ROOT / path).is_file()}))


@cache
def texts() -> tuple[tuple[Path, str], ...]:
    chosen = [path for path in tracked() if path.suffix in TEXT]
    return tuple((path, (ROOT / path).read_text(encoding="utf-8")) for path in chosen)


@cache
def package_trees() -> tuple[tuple[Path, str, ast.Module], ...]:
    sources = [(p, t) for p, t in texts() if p.suffix == ".py" and p.parts[0] == "instgov_dagster"]
    return tuple((path, text, ast.parse(text)) for path, text in sources)


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number} {match.group()!r}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        for match in pattern.finditer(line)
    ]


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.roadmap("0.7")
def test_no_tracked_file_celebrates_with_an_emoji() -> None:
    assert found(EMOJI) == []


def test_no_tracked_file_names_a_package_registry() -> None:
    assert found(REGISTRY) == []


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    assert found(MACHINE_PATH) == []


def test_no_source_file_is_longer_than_400_lines() -> None:
    lengths = {str(path): len(text.splitlines()) for path, text, _ in package_trees()}
    assert {path: n for path, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    lengths = {
        f"{path}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path, _, tree in package_trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}


def test_no_folder_holds_more_children_than_a_glance_takes_in() -> None:
    children: dict[str, set[Path]] = defaultdict(set)
    for path in tracked():
        for parent, child in zip(path.parents, [path, *path.parents], strict=False):
            children[str(parent)].add(child)
    assert {k: len(v) for k, v in children.items() if len(v) > MAX_CHILDREN[k]} == {}


def test_every_source_file_opens_with_a_line_that_says_what_lives_there() -> None:
    assert [str(path) for path, _, tree in package_trees() if not ast.get_docstring(tree)] == []


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_the_core_imports_only_what_the_architecture_allows(part: str) -> None:
    allowed = ALLOWED[part] | sys.stdlib_module_names | {"instgov_dagster"}
    strangers = {
        str(path): imported(tree) - allowed
        for path, _, tree in package_trees()
        if path.parts[1] == part and imported(tree) - allowed
    }
    assert strangers == {}


def test_nothing_in_the_shell_defers_its_annotations() -> None:
    deferred = [
        str(path)
        for path, _, tree in package_trees()
        if path.parts[1] == "defs" and "__future__" in imported(tree)
    ]
    assert deferred == []


def test_the_patterns_find_what_they_look_for_and_leave_plain_text_alone() -> None:
    assert EMOJI.search("done \N{WHITE HEAVY CHECK MARK}")
    assert EMOJI.search("\N{ROCKET}")
    assert not EMOJI.search("μ − λ·CVaR ≥ 0 → σ² × ½ ░▒▓ │")
    assert REGISTRY.search("https://files.python" + "hosted.org/packages")
    assert MACHINE_PATH.search("open('/ro" + "ot/data')")
    assert MACHINE_PATH.search("at /ho" + "me/ann/instgov")
    assert not MACHINE_PATH.search("../shared/market and https://host.example/work/x")
    assert not MACHINE_PATH.search("data/runtime/raw")
