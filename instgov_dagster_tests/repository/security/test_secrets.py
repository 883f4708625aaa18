"""No secret is written or said: a night, a session, alerts and errors, all with canaries."""

import gzip
import io
import json
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

from instgov_dagster.cli.app import app
from instgov_dagster.defs.automation.alerts import retry_alerts, send_alert
from instgov_dagster_tests.adapters.alerts.servers import Listeners, Mood, listening
from instgov_dagster_tests.adapters.lake.lakes import new_catalog
from instgov_dagster_tests.adapters.runtime.leases.servers import postgres
from instgov_dagster_tests.adapters.wire.rehearsal import TRADING, Rehearsal
from instgov_dagster_tests.adapters.wire.world import SECRETS

#: What each variable holds that only its own service may see.
CANARIES = {
    "INSTGOV_JOURNAL_KEY": "canary-of-the-journal-0123456789abcdef",
    "INSTGOV_LEASE_URL": "canary-of-the-lease",
    "INSTGOV_LAKE": "canary-of-the-lake",
    "INSTGOV_ALERT_SMTP_PASSWORD": "canary-of-the-mail",
    "INSTGOV_ALERT_WEBHOOK": "canary-of-the-hook",
    "AWS_SECRET_ACCESS_KEY": "canary-of-the-store",
}
WANTED = (*SECRETS, *(value.encode() for value in CANARIES.values()))
#: Where nobody listens.
AWAY = "postgresql://instgov@127.0.0.1:9/none"
#: What is asked of the home afterwards, and how each ends.
ASKED = {
    ("lake", "push"): 0,
    ("lake", "verify", "--json"): 0,
    ("lake", "pull"): 2,
    ("audit", "verify", "--json"): 0,
    ("why", "KO"): 0,
    ("why", "../../x"): 2,
    ("halt", "--operator", "ann", "--reason", "a drill"): 0,
    ("status", "--json"): 3,
}
#: Who may read these decides what may be decided, or says who decided it.
PRIVATE = ("journal", "paper", "published/anchors", "live.lease", "night.lock")


def contents(path: Path) -> Iterator[bytes]:
    """Give a file's bytes, and what they say where they are compressed."""
    body = path.read_bytes()
    yield body
    if path.suffix == ".gz":
        yield gzip.decompress(body)
    elif path.suffix == ".parquet":
        yield str(pl.read_parquet(io.BytesIO(body)).rows()).encode()
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as con:
            for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                yield str(con.execute(f'FROM "{name}"').fetchall()).encode()
    elif body.startswith(b"SQLite format 3"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
            for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                query = f'SELECT * FROM "{name}"'  # noqa: S608  # named by the catalog
                yield str(base.execute(query).fetchall()).encode()


def leaks(root: Path, *said: str) -> list[tuple[str, bytes]]:
    """Name every place below a folder, or in what was said, in which a canary sits."""
    places = [
        (str(path), body) for path in root.rglob("*") if path.is_file() for body in contents(path)
    ]
    places += [(f"said {number}", text.encode()) for number, text in enumerate(said)]
    return [(place, secret) for place, body in places for secret in WANTED if secret in body]


def test_what_looks_for_a_canary_finds_it_in_every_kind_of_file(tmp_path: Path) -> None:
    text = CANARIES["INSTGOV_LAKE"]
    (tmp_path / "a.log").write_text(f"x{text}x", encoding="utf-8")
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps([text]).encode()))
    pl.DataFrame({"a": [text] * 9}).write_parquet(tmp_path / "c.parquet", compression="zstd")
    with duckdb.connect(str(tmp_path / "d.duckdb")) as con:
        con.execute("CREATE TABLE t AS SELECT ? AS a FROM range(9)", [text])
    with sqlite3.connect(tmp_path / "e") as base:
        base.execute("CREATE TABLE t (a TEXT)")
        base.execute("INSERT INTO t VALUES (?)", [text])
    found = {Path(place).name for place, _ in leaks(tmp_path, f"error: {text}")}
    assert found == {"a.log", "b.json.gz", "c.parquet", "d.duckdb", "e", "said 0"}


def open_to_others(root: Path) -> list[str]:
    """Name what below the private places anybody but the owner may read or write."""
    paths = [path for place in PRIVATE for path in [root / place, *(root / place).rglob("*")]]
    return [
        path.relative_to(root).as_posix()
        for path in paths
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


class Canaries:
    """A rehearsal whose every secret is a canary, and all that was said in it."""

    def __init__(self, rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rehearsal, self.said = rehearsal, list[str]()
        self.home, self._patch = rehearsal.folder / "data", monkeypatch
        for name in ("INSTGOV_JOURNAL_KEY", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, CANARIES[name])
        monkeypatch.setenv("INSTGOV_LAKE_DATA", str(self.home / "lake"))
        monkeypatch.setenv("INSTGOV_LEASE_NAME", "canaries")
        monkeypatch.setenv("INSTGOV_CONFIG", str(rehearsal.config))

    def at(self, variable: str, address: str, word: str = "") -> None:
        """Name a database by its address, with a canary for a password."""
        secret = f"instgov:{CANARIES[variable]}@"
        self._patch.setenv(variable, word + address.replace("instgov@", secret))

    def alerts_go_to(self, others: Listeners) -> None:
        """Name the channels."""
        hook = f"{others.hook.url}/{CANARIES['INSTGOV_ALERT_WEBHOOK']}"
        password = CANARIES["INSTGOV_ALERT_SMTP_PASSWORD"]
        for name, value in {
            **others.environment,
            "INSTGOV_ALERT_WEBHOOK": hook,
            "INSTGOV_ALERT_SMTP_USER": "watch",
            "INSTGOV_ALERT_SMTP_PASSWORD": password,
        }.items():
            self._patch.setenv(name, value)

    def call(self, command: str, *more: str) -> int:
        """Call a command of the market live; give its code."""
        code, _, text = self.rehearsal.call(command, *more)
        self.said.append(text)
        return code

    def ask(self, capfd: pytest.CaptureFixture[str], *words: str) -> int:
        """Call any other command on the home; give its code."""
        result = CliRunner().invoke(app, [*words, "--home", str(self.home)])
        self.said.append(result.output + "".join(capfd.readouterr()))
        return result.exit_code


@pytest.fixture
def usual_mask() -> Iterator[None]:
    """The mask of most machines: whoever does not ask for less gets files that all may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.nightly
@pytest.mark.usefixtures("usual_mask")
def test_no_secret_is_in_any_byte_of_a_home_or_of_what_was_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    rehearsal = Rehearsal(tmp_path, monkeypatch, capfd)
    one, wire, echo = Canaries(rehearsal, monkeypatch), rehearsal.world.wire, b" ".join(SECRETS)
    with rehearsal.world, postgres() as url, listening() as others:
        one.alerts_go_to(others)
        # A night whose lake is away, and whose providers say the keys back.
        one.at("INSTGOV_LAKE", AWAY, "ducklake:")
        wire.fail("GET /v8/finance/chart/KO", status=500, body=echo, times=1)
        wire.fail("GET /v8/finance/chart/XOM", status=429, body=echo, times=1)
        assert one.call("nightly") == 1  # the lake's step says that it failed
        one.at("INSTGOV_LAKE", new_catalog(url), "ducklake:")
        assert one.call("nightly") == 0
        # A session that leads through faults.
        rehearsal.set_clock(TRADING)
        one.at("INSTGOV_LEASE_URL", url)
        wire.fail("POST /v2/orders", acts=True, times=1, status=504, body=echo)
        wire.fail("GET /v2/stocks/quotes/latest", times=2, spares=3, status=500, body=echo)
        assert one.call("live", "--cycles", "8", "--period", "0") == 0, one.said[-1][-2000:]
        # Alerts that no channel takes, tried again, and taken.
        tick = logging.getLogger("a.tick")
        for mood in (Mood.REFUSES, Mood.CUTS, Mood.TAKES):
            others.mailbox.mood = others.hook.mood = mood
            send_alert(tick, logging.ERROR, "leader_hung", home=str(one.home), key=mood.value)
        retry_alerts(tick, one.home)
        codes = {" ".join(words): one.ask(capfd, *words) for words in ASKED}
        one.at("INSTGOV_LAKE", AWAY, "ducklake:")
        codes["away"] = one.ask(capfd, "lake", "push")
    assert codes == {" ".join(words): code for words, code in ASKED.items()} | {"away": 3}
    assert leaks(tmp_path, caplog.text, *one.said) == []
    assert open_to_others(one.home) == []
