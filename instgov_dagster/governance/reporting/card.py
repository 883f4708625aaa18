"""The report card: each control with its last drill and its last firing, as rows and as a page."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from instgov_dagster.governance.reporting.controls import CONTROLS, SOURCES, Control
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The columns of the table report_card.
CARD_SCHEMA: Final = pl.Schema(
    {
        "regulation": pl.String(),
        "clause": pl.String(),
        "asks": pl.String(),
        "control": pl.String(),
        "status": pl.String(),
        "enforced": pl.List(pl.String()),
        "tests": pl.List(pl.String()),
        "reason_codes": pl.List(pl.String()),
        "last_drill": pl.String(),
        "last_drill_at": pl.String(),
        "last_drill_fired": pl.Boolean(),
        "last_firing": pl.String(),
        "last_firing_at": pl.String(),
        "last_firing_code": pl.String(),
        "not_applicable": pl.String(),
    }
)
#: The columns of the drills' table that a card reads.
DRILL_COLUMNS: Final = ("drill", "control", "fired", "reason_code", "at")

NOT_APPLICABLE: Final = "not applicable"
NEVER_DRILLED: Final = "never drilled"
DRILLED: Final = "drilled"
SILENT: Final = "SILENT"

_HEAD: Final = """\
# Report card: what supervisors ask, what answers

Written by `make docs` from `instgov_dagster/governance/reporting/controls.py`; a test fails when
this page is stale or names a function or a test that does not exist. The asset `report_card` (job
`after_session`) adds to each line its last drill and the last time one of its reason codes stood in
the journal, and publishes the table `published/report_card`.
"""


def card_frame(
    drills: Iterable[Mapping[str, Any]],
    firings: Mapping[str, Mapping[str, str]],
    controls: Iterable[Control] = CONTROLS,
) -> pl.DataFrame:
    """Lay the card out, `CARD_SCHEMA`, one row a clause.

    Parameters
    ----------
    drills
        Rows with `DRILL_COLUMNS`; a control is drilled by the drills that raise one of its codes.
    firings
        By reason code, ``at`` and ``frame``: where it last stood in the journal.
    """
    rows = [_row(control, list(drills), firings) for control in controls]
    return pl.DataFrame(rows, schema=CARD_SCHEMA)


def _row(
    control: Control,
    drills: list[Mapping[str, Any]],
    firings: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    codes = [code.value for code in control.reason_codes]
    mine = sorted((d for d in drills if d["reason_code"] in codes), key=lambda d: str(d["at"]))
    drill = mine[-1] if mine else None
    fired = max(
        ((firings[code]["at"], code) for code in codes if code in firings), default=(None, None)
    )
    frame = firings[fired[1]]["frame"] if fired[1] is not None else None
    return {
        "regulation": control.regulation,
        "clause": control.clause,
        "asks": control.asks,
        "control": control.control,
        "status": _status(control, drill),
        "enforced": list(control.enforced),
        "tests": list(control.tests),
        "reason_codes": codes,
        "last_drill": None if drill is None else str(drill["drill"]),
        "last_drill_at": None if drill is None else str(drill["at"]),
        "last_drill_fired": None if drill is None else bool(drill["fired"]),
        "last_firing": frame,
        "last_firing_at": fired[0],
        "last_firing_code": fired[1],
        "not_applicable": control.not_applicable or None,
    }


def _status(control: Control, drill: Mapping[str, Any] | None) -> str:
    if control.not_applicable:
        return NOT_APPLICABLE
    if drill is None:
        return NEVER_DRILLED
    return DRILLED if drill["fired"] else SILENT


def card_codes() -> frozenset[ReasonCode]:
    """Name every code that some control of the card says when it fires."""
    return frozenset(code for control in CONTROLS for code in control.reason_codes)


def card_markdown() -> str:
    """Write the page: what each clause asks, what answers it, where, and which tests prove it."""
    lines = [_HEAD]
    for regulation, what in SOURCES.items():
        lines += [
            f"## {regulation}",
            "",
            f"{what[0].upper()}{what[1:]}.",
            "",
            "| Clause | Asks | Control | Enforced | Reason codes | Tests |",
            "| --- | --- | --- | --- | --- | --- |",
            *(_line(control) for control in CONTROLS if control.regulation == regulation),
            "",
        ]
    return "\n".join(lines)


def _line(control: Control) -> str:
    if control.not_applicable:
        answer = f"**not applicable**: {control.not_applicable}"
        return f"| {control.clause} | {control.asks} | {answer} | | | |"
    cells = (
        control.clause,
        control.asks,
        control.control,
        "<br>".join(f"`{place}`" for place in control.enforced),
        "<br>".join(f"`{code.value}`" for code in control.reason_codes) or "none",
        "<br>".join(f"`{test}`" for test in control.tests),
    )
    return f"| {' | '.join(cells)} |"
