"""What deploy/ holds is what Dagster, compose and the command line would take."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from instgov_dagster_tests.repository.roadmap import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "helm" / "loop.yaml").read_text(encoding="utf-8")))
SECRET = re.compile(r"(?i)(password|secret|key|token)\w*\s*[:=]\s*['\"]?[A-Za-z0-9+]{12,}")


def service(name: str) -> dict[str, Any]:
    """Give a service of the compose file as compose reads it: what is merged in is there."""
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # a unit's names keep case
    parser.read(path, encoding="utf-8")
    return parser


def commands() -> Iterator[list[str]]:
    """Give every command that a file of deploy/ starts."""
    for one in COMPOSE["services"].values():
        if "command" in one:
            yield one["command"]
        if one.get("healthcheck", {}).get("test", ["NONE"])[0] == "CMD":
            yield one["healthcheck"]["test"][1:]
    for path in UNITS:
        yield shlex.split(unit(path)["Service"]["ExecStart"])
    (loop,) = [row for row in MANIFESTS if row["kind"] == "StatefulSet"]
    for container in loop["spec"]["template"]["spec"]["containers"]:
        yield container["command"]
        yield container["livenessProbe"]["exec"]["command"]
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for words in re.findall(r"^\s*CMD (\[.*\])$", text, re.MULTILINE):
        yield json.loads(words)


def help_of(words: list[str]) -> str | None:
    """Give what a program says of the options a command gives it; None where there is no such."""
    name = Path(words[0]).name
    program = shutil.which(name, path=str(Path(sys.executable).parent))
    if name == "python":
        return "-c"
    verbs = []
    for word in words[1:]:
        if word.startswith("-"):
            break
        verbs.append(word)
    if program is None:
        return None
    done = subprocess.run([program, *verbs, "--help"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


@pytest.mark.nightly  # each program loads the platform to print its help
def test_every_command_that_is_started_exists_and_knows_its_options() -> None:
    wanted = {(Path(words[0]).name, *words[1:]) for words in commands()}
    assert len(wanted) >= 6
    for words in wanted:
        told = help_of(list(words))
        if words[:2] == ("instgov", "dashboard") and told is None:
            continue  # contracted in the command line's document, built apart from this
        assert told is not None, words
        flags = {word for word in words if word.startswith("-")}
        assert {flag for flag in flags if flag not in told} == set(), words


def test_the_compose_file_is_one() -> None:
    from jsonschema import Draft7Validator

    folder = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text(encoding="utf-8"))
    errors = [error.message for error in Draft7Validator(schema).iter_errors(COMPOSE)]
    assert errors == []
    assert set(COMPOSE["services"]) == {"postgres", "code", "webserver", "daemon", "dashboard"}


def test_our_containers_run_as_nobody_on_a_root_they_cannot_write() -> None:
    for name in ("code", "webserver", "daemon", "dashboard"):
        one = service(name)
        assert one["read_only"] is True
        assert one["user"] == "10001:10001"
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert one["restart"] == "always"
    (loop,) = [row for row in MANIFESTS if row["kind"] == "StatefulSet"]
    pod = loop["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert loop["spec"]["replicas"] == 1
    assert loop["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
    assert "HEALTHCHECK" in text
    assert "--require-hashes" in text


def test_nothing_listens_beyond_loopback_on_the_host() -> None:
    published = [port for one in COMPOSE["services"].values() for port in one.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)
    for path in UNITS:
        words = shlex.split(unit(path)["Service"]["ExecStart"])
        assert all(words[at + 1] == "127.0.0.1" for at, word in enumerate(words) if word == "-h")


def test_every_variable_of_compose_is_in_the_example_and_no_secret_has_a_value() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", text)) - {"INSTGOV_IMAGE"}
    example = (DEPLOY / "compose" / ".env.example").read_text(encoding="utf-8")
    named = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert asked == set(named)
    assert {name for name, value in named.items() if value} == {"INSTGOV_MARKET"}
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            assert SECRET.search(path.read_text(encoding="utf-8")) is None, path


def test_dagster_takes_the_instance_and_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dagster_postgres")
    from dagster._config import process_config
    from dagster._core.instance.config import dagster_instance_config
    from dagster._core.workspace.config_schema import process_workspace_config

    shutil.copy(DEPLOY / "dagster.prod.yaml", tmp_path / "dagster.yaml")
    config, custom = dagster_instance_config(str(tmp_path))
    assert custom is None
    assert config["storage"]["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    local = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    for name in ("run_coordinator", "concurrency", "run_monitoring", "run_retries", "retention"):
        assert config[name] == local[name], name
    from dagster_postgres.storage import DagsterPostgresStorage

    settings = config["storage"]["postgres"]
    for name, value in {
        "HOST": "localhost", "PORT": "5432", "USER": "u", "PASSWORD": "p", "DB": "d",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"INSTGOV_PG_{name}", value)
    monkeypatch.setenv("INSTGOV_CODE_HOST", "localhost")
    monkeypatch.setenv("INSTGOV_CODE_PORT", "4000")
    taken = process_config(DagsterPostgresStorage.config_type(), settings)
    assert taken.success, taken.errors
    assert taken.value["postgres_db"]["port"] == 5432
    workspace = yaml.safe_load((DEPLOY / "workspace.prod.yaml").read_text(encoding="utf-8"))
    assert isinstance(workspace, dict)
    found = process_workspace_config(workspace)
    assert found.success, found.errors


def test_the_units_are_units() -> None:
    assert [path.stem for path in UNITS] == [
        "instgov-code",
        "instgov-daemon",
        "instgov-dashboard",
        "instgov-webserver",
    ]
    for path in UNITS:
        one = unit(path)
        assert one["Service"]["Restart"] == "always"
        assert one["Service"]["KillMode"] == "control-group"
        assert one["Service"]["NoNewPrivileges"] == "yes"
        assert one["Service"]["UMask"] == "0077"


def test_the_chart_is_told_one_daemon_no_database_of_its_own_and_no_telemetry() -> None:
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text(encoding="utf-8"))
    assert values["postgresql"]["enabled"] is False
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    assert values["dagsterDaemon"]["runRetries"]["maxRetries"] == 0
    assert values["telemetry"]["enabled"] is False
    (service_row,) = [row for row in MANIFESTS if row["kind"] == "Service"]
    (server,) = values["dagsterWebserver"]["workspace"]["servers"]
    name = service_row["metadata"]["name"]
    assert server["host"] == f"{name}-0.{name}"
    assert server["port"] == service_row["spec"]["ports"][0]["port"]
    runs = yaml.safe_load((DEPLOY / "helm" / "values.k8s-runs.yaml").read_text(encoding="utf-8"))
    assert runs["runLauncher"]["type"] == "K8sRunLauncher"
