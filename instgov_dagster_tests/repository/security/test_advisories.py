"""An audit that did not happen says so; one that did says what it found."""

import subprocess
from collections.abc import Callable

import pytest

from instgov_dagster_tests.repository.security import advisories

Answer = Callable[..., subprocess.CompletedProcess[str]]


def answering(code: int, said: str, told: str = "") -> Answer:
    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, code, stdout=told, stderr=said)

    return run


def silent(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    raise subprocess.TimeoutExpired(words, 1.0)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        silent,
        answering(1, "requests.exceptions.ConnectionError: Max retries exceeded"),
        answering(0, "", "jinja2   Dependency not found and could not be audited"),
    ],
)
def test_an_audit_that_nobody_answered_is_told_as_none(
    answer: Answer | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories, "_is_reachable", lambda: answer is not None)
    if answer is not None:
        monkeypatch.setattr(subprocess, "run", answer)
    assert advisories.advisories() == 0
    said = capsys.readouterr().err
    assert said.startswith("advisories: NOT AUDITED, ")
    assert "nothing is known" not in said


def test_an_advisory_fails_the_check_and_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories, "_is_reachable", lambda: True)
    monkeypatch.setattr(subprocess, "run", answering(1, "Found 1 known vulnerability in x 1.0"))
    assert advisories.advisories() == 1
    assert "Found 1 known vulnerability" in capsys.readouterr().err


def test_an_audit_that_found_nothing_names_each_lock_it_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories, "_is_reachable", lambda: True)
    monkeypatch.setattr(subprocess, "run", answering(0, ""))
    assert advisories.advisories() == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"advisories: nothing is known against {lock}" for lock in advisories.LOCKS]
