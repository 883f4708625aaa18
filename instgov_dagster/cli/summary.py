"""What a run came to: read back from the stores, told as fields and as a table."""

import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from instgov_dagster.adapters.journal import key_from
from instgov_dagster.adapters.runtime import Home
from instgov_dagster.adapters.store.night_store import is_written, read_night
from instgov_dagster.adapters.store.published import SUMMARY_FILE
from instgov_dagster.dashboard.report import write_report
from instgov_dagster.governance.state.rows import cause_to_dict
from instgov_dagster.loop.state_log import StateLog, head_of

if TYPE_CHECKING:
    from instgov_dagster.loop.platform import Platform, Settings

_MARKED = {"simulated": "SIMULATED", "files": "FILES (replay)", "live": "LIVE"}


def collect(platform: "Platform", asof: date, session_run_id: str | None) -> dict[str, Any]:
    """Gather every field of the contract that was reached; the others stay null.

    Parameters
    ----------
    session_run_id
        The Dagster run of this call's session; what another session left is not told as its own.
    """
    log = platform.state_log()
    state = log.refresh()
    fields: dict[str, Any] = {
        "state": state.name.value,
        "causes": [cause_to_dict(cause) for cause in state.causes],
        "market": platform.settings.market.value,
        "asof": asof.isoformat(),
        "symbols": len(platform.universe.tradable),
        "cvar_limit": platform.policy.cvar.portfolio_limit,
        "chain_head": head_of(log),
    }
    fields |= _night_fields(platform, asof)
    if session_run_id is not None:
        fields |= _session_fields(platform, session_run_id)
    fields["report"] = str(write_report(platform.home, platform.policy, key=platform.key)[0])
    return fields


def unreached(settings: "Settings", asof: date) -> dict[str, Any]:
    """Gather what can be told of a home that could not be opened or is held by another."""
    log = StateLog(Home(settings.home), key_from(os.environ))
    state = log.refresh()
    return {
        "state": state.name.value,
        "causes": [cause_to_dict(cause) for cause in state.causes],
        "market": settings.market.value,
        "asof": asof.isoformat(),
        "chain_head": head_of(log),
    }


def _night_fields(platform: "Platform", asof: date) -> dict[str, Any]:
    with platform.warehouse.reader() as con:
        quality, governed, coverage, regime = (
            read_night(con, name, asof=asof) if is_written(con, name, asof=asof) else pl.DataFrame()
            for name in ("data_quality", "data_governance", "history_coverage", "regime_beliefs")
        )
    tradable = set(platform.universe.tradable)
    fields: dict[str, Any] = {}
    if quality.height:
        fields["bars"] = int(quality["rows"].sum())
    judged = governed if governed.height else coverage
    if judged.height:
        fields["invalid"] = _with_status(judged, "INVALID_DATA", tradable)
        fields["ineligible"] = _with_status(judged, "INSUFFICIENT_HISTORY", tradable)
    if governed.height:
        fields["eligible"] = int(governed["is_eligible"].sum())
    if regime.height:
        fields["p_hit_crisis_5d"] = regime["p_hit_crisis_5d"][0]
    return fields


def _with_status(frame: pl.DataFrame, status: str, tradable: set[str]) -> list[str]:
    rows = frame.select("symbol", "status").iter_rows()
    return sorted(symbol for symbol, word in rows if word == status and symbol in tradable)


def _session_fields(platform: "Platform", run_id: str) -> dict[str, Any]:
    path = platform.home.published / SUMMARY_FILE
    if not path.is_file():
        return {}
    told = json.loads(path.read_text(encoding="utf-8"))
    if told.get("run_id") != run_id:
        return {}
    names = (
        "cycles", "decisions", "verdicts", "reasons", "orders", "fills", "gross", "cvar",
        "cvar_gate", "cycle_ms_p50", "cycle_ms_p99", "measures",
    )  # fmt: skip
    return {name: told[name] for name in names} | {"nav": told["nav_usd"]}


def print_summary(fields: Mapping[str, Any], home: Path) -> None:
    """Print the run for a person: what state, what was decided, how near the limit, where next."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    table = Table(title=f"instgov run, market {_MARKED[fields['market']]}", show_header=False)
    for name, value in _rows(fields):
        table.add_row(name, value)
    console.print(table)
    console.print(f"report  {fields['report']}")
    console.print(f"UI      make dev, then http://127.0.0.1:3000 (home {home})")


def _rows(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    causes = [f"{cause['reason_code']}: {cause['detail']}" for cause in fields["causes"]]
    rows = [
        ("state", fields["state"]),
        ("causes", "; ".join(causes) or "none"),
        ("as of", fields["asof"]),
        ("symbols", f"{fields['symbols']} ({_text(fields['eligible'])} eligible)"),
        ("bars", _text(fields["bars"])),
        ("invalid", ", ".join(fields["invalid"] or []) or "none"),
        ("ineligible", ", ".join(fields["ineligible"] or []) or "none"),
        ("P(crisis within 5 days)", _number(fields["p_hit_crisis_5d"], ".4f")),
        ("cycles", _text(fields["cycles"])),
        ("decisions", _text(fields["decisions"])),
        ("by verdict", _counts(fields["verdicts"])),
        ("orders / fills", f"{_text(fields['orders'])} / {_text(fields['fills'])}"),
        ("NAV (USD)", _number(fields["nav"], ",.2f")),
        ("gross", _number(fields["gross"], ".4f")),
        (
            "CVaR (gate) against limit",
            f"{_number(fields['cvar_gate'], '.4f')} of {_number(fields['cvar_limit'], '.4f')}",
        ),
        ("cycle p50 / p99 (ms)", _pair(fields["cycle_ms_p50"], fields["cycle_ms_p99"])),
        ("chain head", fields["chain_head"]),
        ("seconds", _text(fields["seconds"])),
    ]
    return [(name, str(value)) for name, value in rows]


def _text(value: Any) -> str:
    return "not reached" if value is None else str(value)


def _number(value: float | None, form: str) -> str:
    return "not reached" if value is None else format(value, form)


def _pair(one: float | None, other: float | None) -> str:
    return f"{_number(one, '.1f')} / {_number(other, '.1f')}"


def _counts(counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return "not reached"
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
