"""Audit: the chains and their anchors, the phases' stamps, the drills, the report card."""

from collections.abc import Mapping
from datetime import datetime

from instgov_dagster.dashboard.figures.audit import card_figure, chains_figure
from instgov_dagster.dashboard.model import Page, Rhythm, Section, Table
from instgov_dagster.dashboard.reading.board import Board

KEY, TITLE = "audit", "Audit"
FOLDERS = ("night", "dashboard", "report_card")
RHYTHM = Rhythm.CYCLE


def page(board: Board, query: Mapping[str, str]) -> Page:
    """Lay the page out."""
    del query
    sections = (
        chains_section(board),
        card_section(board),
        drills_section(board),
        stamps_section(board),
        reconciliation_section(board),
    )
    return Page(key=KEY, title=TITLE, sections=sections)


def chains_section(board: Board) -> Section:
    """Show how long each chain is and how much of it is anchored."""
    rows = tuple(
        (name, n, min(board.anchored.get(name, 0), n), digest)
        for name, (n, digest) in board.heads.items()
    )
    has_frames = any(n for n, _ in board.heads.values())
    return Section(
        key="chains",
        title="The chains",
        says="Frames of each chain as read and verified, and how many an anchor covers.",
        source=f"the journal, read {board.at.isoformat(timespec='seconds')}",
        figure=chains_figure(board.heads, board.anchored) if has_frames else None,
        tables=(
            Table(caption="Chains", columns=("chain", "frames", "anchored", "head"), rows=rows),
        ),
        missing="" if has_frames else "No chain has a frame.",
    )


def card_section(board: Board) -> Section:
    """Show what each supervisor asks and what its control last did."""
    card, source = board.table("report_card", "report_card"), board.source("report_card")
    title = "Report card"
    if card.is_empty():
        missing = "The job after_session has not made the card yet."
        return Section(key="card", title=title, says=title, source=source, missing=missing)
    columns = ("regulation", "clause", "control", "status", "last_drill", "last_drill_at",
               "last_firing_code", "last_firing_at")  # fmt: skip
    return Section(
        key="card",
        title=title,
        says=f"{card.height} clauses by regulation, and whether their control was drilled.",
        source=source,
        figure=card_figure(card),
        tables=(
            Table(caption="Clauses", columns=columns, rows=tuple(card.select(columns).rows())),
        ),
    )


def drills_section(board: Board) -> Section:
    """List each drill's last outcome."""
    drills, source = board.table("dashboard", "fire_drills"), board.source("dashboard")
    columns = ("drill", "control", "fired", "reason_code", "state", "at")
    rows = []
    if drills.height:
        last = drills.sort("at").group_by("drill", maintain_order=True).last()
        rows = last.sort("drill").select(columns).rows()
    silent = sum(1 for row in rows if not row[2])
    return Section(
        key="drills",
        title="Fire drills",
        says=f"The last outcome of {len(rows)} drills; {silent} controls stayed silent.",
        source=source,
        tables=(
            Table(
                caption="Drills",
                columns=columns,
                rows=tuple(
                    tuple(c.isoformat() if isinstance(c, datetime) else c for c in row)
                    for row in rows
                ),
            ),
        )
        if rows
        else (),
        missing="" if rows else "No drill is recorded: the job fire_drills holds them.",
    )


def stamps_section(board: Board) -> Section:
    """List the phases' stamps of the night."""
    stamps, source = board.table("night", "phase_stamps"), board.source("night")
    rows = (
        stamps.sort("step").select("step", "phase", "output_hash", "stamp_hash").rows()
        if stamps.height
        else []
    )
    return Section(
        key="stamps",
        title="Stamps of the phases",
        says="Each phase's stamp hashes its outputs and the stamps it stands on.",
        source=source,
        tables=(
            Table(
                caption="Stamps", columns=("step", "phase", "outputs", "stamp"), rows=tuple(rows)
            ),
        ),
    )


def reconciliation_section(board: Board) -> Section:
    """List what the last session compared with the broker before its first cycle."""
    told = board.session.get("reconciliation") or ()
    rows = tuple(
        (row["name"], row["passed"], row["ours"], row["theirs"], row["n_different"]) for row in told
    )
    source = f"session {board.session.get('session_id', 'none')}"
    return Section(
        key="reconciliation",
        title="Broker and journal",
        says="What the last session compared before its first cycle.",
        source=source,
        tables=(
            Table(
                caption="Invariants",
                columns=("what", "agrees", "ours", "theirs", "different"),
                rows=rows,
            ),
        ),
    )
