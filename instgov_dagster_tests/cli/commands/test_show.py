"""`report` and `dashboard`: what they print, and what they refuse before anything listens."""

from pathlib import Path

from instgov_dagster_tests.cli.processes import instgov, told


def test_report_says_where_it_wrote_and_how_much(ran: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = instgov("report", "--home", str(ran / "data"), "--config", str(ran / "config"),
                   "--out", str(out), "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert told(done) == {"path": str(out), "bytes": out.stat().st_size}
    assert 4_000_000 < out.stat().st_size < 6_000_000


def test_what_is_asked_wrongly_is_one_line_and_exit_two(tmp_path: Path) -> None:
    no_home = instgov("report", "--home", str(tmp_path / "nothing"))
    elsewhere = instgov("dashboard", "--home", str(tmp_path), "--host", "192.0.2.1")
    assert (no_home.returncode, elsewhere.returncode) == (2, 2)
    assert no_home.stderr == f"instgov: --home must be a folder, was {tmp_path / 'nothing'}\n"
    assert elsewhere.stderr == (
        "instgov: --host must be of the loopback unless INSTGOV_DASHBOARD_TOKEN is set, was"
        " 192.0.2.1\n"
    )
    assert list(tmp_path.iterdir()) == []
