"""The measure of the tests: it kills what is wrong, names what lives, and touches no source."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from instgov_dagster_tests.repository.mutation import (
    LEAST_NOTICED,
    PAGE,
    Score,
    main,
    named_modules,
    read_scores,
    report,
    table,
)

ROW = re.compile(r"^\| `([^`]+)` \| \d+ \| (\d+) \| (\d+) \| (\d+) \| .*$", re.MULTILINE)
SOURCE = """\
def larger(a: int, b: int) -> int:
    return a if a > b else b


def unseen(a: int) -> int:
    return a + 1
"""
TESTS = """\
from tiny.core import larger, unseen


def test_the_larger_is_the_larger() -> None:
    assert [larger(1, 2), larger(2, 1)] == [2, 2]
    assert unseen(1)
"""
ATTEMPTS, PATIENCE_SECONDS = 3, 120
SETTINGS = """\
[tool.mutmut]
source_paths = ["tiny/"]
only_mutate = ["tiny/*.py"]
pytest_add_cli_args = ["-p", "no:randomly", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = ["tests"]
process_isolation = "forkserver"
"""


def score(module: str, *, killed: int, alive: int, refused: int = 0) -> Score:
    names = tuple(f"m{i}" for i in range(alive))
    return Score(module=Path(module), refused=refused, killed=killed, alive=names)


def tiny(folder: Path) -> dict[str, str]:
    files = {
        "tiny/__init__.py": "",
        "tiny/core.py": SOURCE,
        "tests/test_core.py": TESTS,
        "pyproject.toml": SETTINGS,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return files


def mutate(folder: Path) -> tuple[int, str]:
    """Run mutmut, not for ever: late in a long run of the tests its forked server has hung."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "MUTANT_"))}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1"]
    for _ in range(ATTEMPTS):
        process = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            shutil.rmtree(folder / "mutants", ignore_errors=True)
            continue
        return process.returncode, printed
    pytest.fail(f"mutmut did not end within {PATIENCE_SECONDS} s, {ATTEMPTS} times")


@pytest.mark.nightly
def test_a_wrong_comparison_is_killed_an_unseen_sum_lives_and_no_source_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tiny(tmp_path)
    status, printed_by_it = mutate(tmp_path)
    assert status == 0, printed_by_it
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in files} == files
    (found,) = read_scores(tmp_path)
    assert found.module == Path("tiny/core.py")
    # `a >= b` returns the same, and whatever `unseen` returns is true: all that lives is named
    lives = {name.split(".")[-1].split("__mutmut")[0] for name in found.alive}
    assert lives == {"x_larger", "x_unseen"}
    assert (found.refused, found.killed) == (0, found.mutants - len(found.alive))
    monkeypatch.chdir(tmp_path)
    assert main(tmp_path) == 1
    printed = capsys.readouterr()
    assert "+    return a if a >= b else b" in printed.out
    assert "+    return a + 2" in printed.out
    assert "tiny/core.py" in printed.err


def written(folder: Path, results: dict[str, int | None]) -> Score:
    tiny(folder)
    meta = folder / "mutants" / "tiny" / "core.py.meta"
    meta.parent.mkdir(parents=True)
    rest: dict[str, object] = {"durations_by_key": {}, "estimated_durations_by_key": {}}
    meta.write_text(json.dumps({"exit_code_by_key": results, **rest}), encoding="utf-8")
    return read_scores(folder)[0]


def test_what_was_not_run_or_has_no_test_lives_and_what_never_ends_is_killed(
    tmp_path: Path,
) -> None:
    codes = {"killed": 1, "slow": -24, "lives": 0, "no_test": 33, "not_run": None, "odd": 35}
    found = written(tmp_path, {**codes, "refused": 37})
    assert (found.refused, found.mutants, found.killed) == (1, 7, 2)
    assert found.alive == ("lives", "no_test", "not_run", "odd")
    assert found.noticed_share == pytest.approx(3 / 7)
    assert found.killed_share == pytest.approx(2 / 6)


def test_a_module_that_was_not_mutated_or_is_not_there_is_no_success(tmp_path: Path) -> None:
    tiny(tmp_path)
    with pytest.raises(FileNotFoundError, match="must have been mutated"):
        read_scores(tmp_path)
    (tmp_path / "tiny" / "core.py").unlink()
    with pytest.raises(ValueError, match="names none"):
        named_modules(tmp_path)


def test_each_folder_is_held_to_its_bar_and_a_strange_one_to_all() -> None:
    capital, beliefs = "instgov_dagster/capital/x.py", "instgov_dagster/beliefs/x.py"
    assert score(capital, killed=90, alive=10).is_enough
    assert not score(capital, killed=89, alive=11).is_enough
    assert score(beliefs, killed=85, alive=15).is_enough
    assert not score(beliefs, killed=84, alive=16).is_enough
    # types alone are not enough: of what they let pass the tests must kill their share
    assert not score(capital, refused=900, killed=79, alive=21).is_enough
    assert score(capital, refused=900, killed=80, alive=20).is_enough
    assert not score("elsewhere/x.py", killed=99, alive=1).is_enough
    assert score("elsewhere/x.py", killed=0, alive=0).is_enough


def test_the_report_counts_and_sums_and_shows_what_lives() -> None:
    scores = (score("a.py", refused=6, killed=3, alive=1), score("b.py", killed=0, alive=0))
    assert table(scores).splitlines()[2:] == [
        "| `a.py` | 10 | 6 | 3 | 1 | 90.0 % | 75.0 % |",
        "| `b.py` | 0 | 0 | 0 | 0 | 100.0 % | 100.0 % |",
        "| `all` | 10 | 6 | 3 | 1 | 90.0 % | 75.0 % |",
    ]
    assert report(scores, lambda name: f"-old\n+new {name}").endswith("\nm0\n-old\n+new m0\n")


def test_the_page_tells_of_every_module_that_is_named_and_every_share_reaches_its_bar() -> None:
    page = PAGE.read_text(encoding="utf-8")
    told = [
        score(name, refused=int(refused), killed=int(killed), alive=int(alive))
        for name, refused, killed, alive in ROW.findall(page)
    ]
    modules = told[:-1]
    assert [one.module for one in modules] == list(named_modules())
    assert all(str(one.module).startswith(tuple(LEAST_NOTICED)) for one in modules)
    assert table(tuple(modules)) in page
    assert [str(one.module) for one in modules if not one.is_enough] == []
