"""The table of a soak, in Markdown."""

from collections.abc import Mapping
from typing import Any


def table_of(facts: Mapping[str, Any]) -> str:
    """Write what a soak came to as a page."""
    rows = [
        ("minutes", f"{facts['seconds'] / 60:g}"),
        ("symbols, cycles, sessions", _join(facts, "symbols", "cycles", "sessions")),
        ("beat p50, p99 (s)", f"{facts['beat_p50']:.3f}, {facts['beat_p99']:.3f}"),
        ("late cycles, each recorded and held", facts["late_cycles"]),
        ("seconds with two leaders", len(facts["shared_seconds"])),
        ("duplicate cycle ids", facts["duplicate_cycle_ids"]),
        ("chains verify", all(facts["chains"].values())),
        ("replay identical", f"{facts['replay_identical']} ({facts['replayed']} cycles)"),
        ("broker and journal agree", facts["reconciled"]),
        ("the stopped leader", facts["stopped_leader"]),
        ("processes left after SIGINT", ", ".join(facts["orphans"]) or "none"),
        ("all gone, seconds after dagster dev", facts["gone_seconds_after_dev"]),
        ("journal or account moved after that", facts["moved_after_the_end"]),
        ("not done", ", ".join(facts["undone"]) or "nothing"),
        ("passed", facts["passed"]),
    ]
    lines = ["| What | Found |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows]
    lines += ["", "| At | Gap, s | Why | Promised, s | Kept |", "| --- | --- | --- | --- | --- |"]
    for gap in facts["gaps"]:
        limit = "–" if gap["limit"] is None else f"{gap['limit']:g}"
        words = (gap["at"][11:19], f"{gap['seconds']:.3f}", gap["why"], limit, gap["ok"])
        lines.append(f"| {' | '.join(str(word) for word in words)} |")
    return "\n".join(lines) + "\n"


def _join(facts: Mapping[str, Any], *names: str) -> str:
    return ", ".join(str(facts[name]) for name in names)
