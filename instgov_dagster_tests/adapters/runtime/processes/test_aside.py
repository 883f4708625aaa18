"""A process beside this one: its answers in order, its failures here, its death said."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path
from pickle import PicklingError

import pytest

from instgov_dagster.adapters.runtime.processes.aside import PROCESS, Aside
from instgov_dagster.vocabulary.errors import InputError, ProcessLost


def adding(start: int) -> Callable[[int], Iterator[int]]:
    """Begin what counts on from a number."""

    def answer(question: int) -> Iterator[int]:
        for more in range(question):
            yield start + more

    return answer


def refusing(start: str) -> Callable[[int], Iterator[int]]:
    """Begin what refuses an odd question after its first item."""

    def answer(question: int) -> Iterator[int]:
        yield question
        if question % 2:
            raise InputError(f"{start} {question}")

    return answer


def beginning_badly(start: str) -> Callable[[int], Iterator[int]]:
    """Refuse to begin."""
    raise ValueError(start)


def ending(start: int) -> Callable[[int], Iterator[int]]:
    """Begin what ends its process once it has answered in part."""

    def answer(question: int) -> Iterator[int]:
        yield question
        os._exit(start)

    return answer


class Odd(Exception):  # noqa: N818  # of somebody else's making
    """An error that pickle cannot make again."""

    def __init__(self, name: str, value: int) -> None:
        super().__init__(f"{name} was {value}")


def odd(start: str) -> Callable[[int], Iterator[object]]:
    """Begin what fails in a way, or gives an item, that does not survive the way back."""

    def answer(question: int) -> Iterator[object]:
        if question:
            raise Odd(start, question)
        yield lambda: start

    return answer


def mine() -> list[int | None]:
    return [child.pid for child in active_children() if child.name == PROCESS]


def test_questions_are_answered_in_order() -> None:
    with Aside(adding, 10) as aside:
        for question in (3, 0, 2):
            aside.ask(question)
        assert [aside.answer() for _ in range(3)] == [[10, 11, 12], [], [10, 11]]
    assert mine() == []


def test_a_refusal_there_is_raised_here_and_the_next_question_is_answered() -> None:
    with Aside(refusing, "odd") as aside:
        for question in (1, 2):
            aside.ask(question)
        with pytest.raises(InputError, match="odd 1") as caught:
            aside.answer()
        assert "in answer" in caught.value.__notes__[0]
        assert aside.answer() == [2]


def test_what_cannot_begin_says_why() -> None:
    with Aside(beginning_badly, "no ground") as aside:
        aside.ask(1)
        with pytest.raises(ValueError, match="no ground"):
            aside.answer()


def test_an_error_that_does_not_survive_the_way_is_told_in_words() -> None:
    with Aside(odd, "it") as aside:
        for question in (3, 0, 4):
            aside.ask(question)
        with pytest.raises(RuntimeError, match="Odd: it was 3"):
            aside.answer()
        with pytest.raises((RuntimeError, PicklingError, AttributeError), match="lambda"):
            aside.answer()
        with pytest.raises(RuntimeError, match="Odd: it was 4"):
            aside.answer()


def test_a_process_that_ends_is_told_of_by_its_exit_code() -> None:
    with Aside(ending, 7) as aside:
        aside.ask(1)
        with pytest.raises(ProcessLost, match="exit code 7"):
            aside.answer()
        with pytest.raises(ProcessLost, match="exit code 7"):
            aside.ask(1)


UNGUARDED = """
from instgov_dagster.adapters.runtime.processes.aside import Aside
from instgov_dagster_tests.adapters.runtime.processes.test_aside import adding

with Aside(adding, "x" * 1_000_000) as aside:
    aside.ask(1)
    aside.answer()
"""
UNCLOSED = """
from instgov_dagster.adapters.runtime.processes.aside import Aside
from instgov_dagster_tests.adapters.runtime.processes.test_aside import adding

def answers():
    with Aside(adding, 1) as aside:
        aside.ask(3)
        yield from aside.answer()

if __name__ == "__main__":
    unclosed = answers()
    print(next(unclosed))
    raise SystemExit(3)
"""
UNCLOSED_BY_A_CHILD = """
import multiprocessing
from instgov_dagster.adapters.runtime.processes.aside import Aside
from instgov_dagster_tests.adapters.runtime.processes.test_aside import adding

kept = []

def work():
    aside = Aside(adding, 1)
    kept.append(aside.__enter__())
    aside.ask(3)
    print(aside.answer(), flush=True)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    child.join()
    raise SystemExit(child.exitcode)
"""
SPREAD = """
import os
import threading
from pathlib import Path
from instgov_dagster.adapters.runtime.processes.aside import Aside
from instgov_dagster.adapters.runtime.processes.spread import ProcessSpread

BEGUN = Path(__file__).with_name("begun")

def waiting(name):
    BEGUN.open("w").write(name)
    threading.Event().wait()

def spreading(workers):
    return lambda names: ProcessSpread(parallel_from=2, workers=workers)(waiting, names)

if __name__ == "__main__":
    os.mkfifo(BEGUN)
    with Aside(spreading, 2) as aside:
        aside.ask(["a", "b"])
        told = ""
        while len(told) < 2:
            told += BEGUN.read_text()
        print("".join(sorted(told)))
"""
ORPHANED = """
import os, signal
from multiprocessing import active_children
from instgov_dagster.adapters.runtime.processes.aside import Aside
from instgov_dagster_tests.adapters.runtime.processes.test_aside import adding

if __name__ == "__main__":
    with Aside(adding, 1) as aside:
        aside.ask(1)
        aside.answer()
        print(active_children()[0].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a script. All it starts write to its pipe: only when the last has ended does this."""
    script = folder / "script.py"
    script.write_text(program, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script)], check=False, capture_output=True, text=True, timeout=60
    )


def test_it_ends_by_itself_when_its_caller_is_killed(tmp_path: Path) -> None:
    done = run(tmp_path, ORPHANED)
    assert done.returncode == -9
    assert int(done.stdout) > 0


def test_a_process_that_ends_before_it_began_does_not_hang_its_caller(tmp_path: Path) -> None:
    # A script whose own start is not guarded is run again by the process it starts, and ends it.
    done = run(tmp_path, UNGUARDED)
    assert done.returncode == 1
    assert "ended with exit code 1; a script that starts one must begin under if" in done.stderr


def test_a_context_that_is_never_left_holds_up_no_exit(tmp_path: Path) -> None:
    done = run(tmp_path, UNCLOSED)
    assert (done.returncode, done.stdout) == (3, "1\n")


def test_no_more_does_one_within_a_process_that_was_started_itself(tmp_path: Path) -> None:
    done = run(tmp_path, UNCLOSED_BY_A_CHILD)
    assert (done.returncode, done.stdout) == (0, "[1, 2, 3]\n")


def test_processes_it_shares_work_out_to_end_with_it(tmp_path: Path) -> None:
    done = run(tmp_path, SPREAD)
    assert (done.returncode, done.stdout) == (0, "ab\n")
