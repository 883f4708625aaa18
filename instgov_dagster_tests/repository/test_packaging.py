"""The two locks pin what pyproject.toml asks for; the wheel carries its own configuration."""

import re
import tomllib
from functools import cache
from typing import Any

import pytest

from instgov_dagster_tests.repository.roadmap import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-bench.lock")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def pins(lock: str) -> frozenset[str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return frozenset(
        re.findall(r"^([a-z0-9][\w.-]*==[^\s\\;]+(?: ; [^\\\n]+?)?) \\$", text, re.MULTILINE)
    )


def names(requirements: list[Any]) -> set[str]:
    found = set()
    for requirement in requirements:
        match requirement:
            case str():
                found.add(re.split(r"[<>=]", requirement)[0].lower())
            case {"include-group": group}:
                found |= names(project()["dependency-groups"][group])
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_a_hash(lock: str) -> None:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    plain = {line for line in lines if not line.startswith((" ", "#"))}
    assert plain == {f"{pin} \\" for pin in pins(lock)}
    assert sum("--hash=sha256:" in line for line in lines) >= len(plain) > 0


def test_the_development_lock_is_the_lock_and_more() -> None:
    assert pins("requirements.lock") < pins("requirements-dev.lock")


def test_every_dependency_is_pinned_and_the_tests_tools_only_in_the_second_lock() -> None:
    locked = {lock: {pin.split("==")[0] for pin in pins(lock)} for lock in LOCKS}
    asked = names(project()["project"]["dependencies"])
    assert asked <= locked["requirements.lock"]
    assert names([{"include-group": "dev"}]) <= locked["requirements-dev.lock"]
    assert not {"pytest", "mypy", "ruff"} & locked["requirements.lock"]


def test_duckdb_is_locked_to_the_version_with_the_extensions() -> None:
    (constraint,) = project()["tool"]["uv"]["constraint-dependencies"]
    assert constraint in pins("requirements.lock")


def test_the_wheel_carries_the_configuration_as_its_defaults() -> None:
    wheel = project()["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"config": "instgov_dagster/_config"}
    assert (ROOT / "config" / "universe.yaml").is_file()
    assert (ROOT / "config" / "policy.yaml").is_file()
