"""The edits of the source that disable the control of each drill, and how to drill without it."""

import shutil
from pathlib import Path
from typing import NamedTuple

import instgov_dagster
from instgov_dagster.loop.proving.drills.evidence import Evidence
from instgov_dagster.loop.proving.drills.run import drills_apart
from instgov_dagster_tests.loop.homes import CONFIG

PACKAGE = Path(instgov_dagster.__file__).resolve().parent


class Mutation(NamedTuple):
    """An edit: the file, the text that must stand in it once, and what takes its place."""

    path: str
    old: str
    new: str


_HALT = "raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, detail) from error"
_FAKE_RECEIPT = """return AppendReceipt(
                chain=self.chain, segment=1, sequence=self.sequence + 1, offset=0,
                frame_sha256="0" * 64, rows=1000, cycle_id=meta.get("cycle_id"),
            )"""

MUTATIONS: dict[str, Mutation] = {
    "audit_unwritable": Mutation(
        "adapters/journal/chain.py",
        'self.sequence + 1)}: {error}"\n            ' + _HALT,
        'self.sequence + 1)}: {error}"\n            ' + _FAKE_RECEIPT,
    ),
    "disk_full": Mutation("adapters/runtime/files.py", "if free < needed_bytes:", "if free < 0:"),
    "broken_chain": Mutation(
        "adapters/journal/scan.py",
        "    if chain_digest(at.head, payload, key) != digest:\n        raise BrokenFrame(name, ",
        "    if len(digest) != 32:\n        raise BrokenFrame(name, ",
    ),
    "cut_chain": Mutation(
        "adapters/journal/anchors.py", "    if size == offset:\n", "    if size >= offset:\n"
    ),
    "snapshot_damaged": Mutation(
        "adapters/store/published.py",
        'if hashlib.sha256(body).hexdigest() != listed[name]["sha256"]:',
        "if not hashlib.sha256(body).hexdigest():",
    ),
    "wrong_config_hash": Mutation(
        "loop/live/opening.py",
        '        (ReasonCode.CONFIG_HASH_MISMATCH, "config_hash", platform.config_hash),\n',
        "",
    ),
    "wrong_code_hash": Mutation(
        "loop/live/opening.py",
        '        (ReasonCode.CODE_HASH_MISMATCH, "code_hash", platform.code_hash),\n',
        "",
    ),
    "phase_out_of_order": Mutation(
        "loop/live/opening.py", "    require_stamps(stamps, Phase.LIVE_TRADING, asof)\n", ""
    ),
    "phase_skipped_at_night": Mutation(
        "loop/night.py",
        "    require_stamps(stamps, step.phase, context.asof, phase_outputs(step.phase, made))\n",
        "",
    ),
    "forged_order": Mutation(
        "governance/proof.py",
        "if not hmac.compare_digest(_mac(order, order.receipt, key), order.mac):",
        "if not order.mac:",
    ),
    "stale_feed": Mutation(
        "bars/quotes.py", "round(max_age_seconds * 1e6)", "round(max_age_seconds * 1e9)"
    ),
    "crossed_quotes": Mutation(
        "bars/quotes.py", "is_ordered = self.bid <= self.ask", "is_ordered = self.bid == self.bid"
    ),
    "nan_forecast": Mutation(
        "governance/decisions/table.py",
        "    if not _is_forecast_finite(case):\n",
        "    if case.mu is None:\n",
    ),
    "history_missing": Mutation(
        "loop/steps/bars.py", "symbols = missing_history(frame)", "symbols = ()"
    ),
    "reference_invalid": Mutation(
        "loop/steps/bars.py", "in halting_causes(frame):", "in halting_causes(frame)[:0]:"
    ),
    "crisis_regime": Mutation(
        "loop/steps/beliefs.py", 'if not row["is_reduce_only"]:', 'if row["is_reduce_only"]:'
    ),
    "crisis_execution": Mutation(
        "capital/risk/gates.py",
        "passed = regime is not ExecutionRegime.CRISIS or (not is_increase and delta < 0.0)",
        "passed = True",
    ),
    "missing_stress_set": Mutation(
        "capital/scenarios/build.py",
        "multiplier=config.missing_stress_multiplier",
        "multiplier=1.0",
    ),
    "solver_failure": Mutation(
        "capital/auction/run.py",
        "        weights=instance.held.copy(),\n        prices=no_prices(instance),",
        "        weights=1.5 * instance.held,\n        prices=no_prices(instance),",
    ),
    "solver_lie": Mutation(
        "capital/auction/run.py",
        "    if check_weights(instance, weights):\n        return None\n    duals",
        "    duals",
    ),
    "cvar_breach": Mutation(
        "loop/cycle.py",
        "return (None if scaled.scale >= 1.0 else scaled.weights), ()",
        "return None, ()",
    ),
    "cvar_scale_refused": Mutation(
        "loop/cycle.py",
        "return before, (cause_of(refusal.reason_code, refusal.reason_code.sentence),)",
        "return before, ()",
    ),
    "marginal_cvar": Mutation(
        "capital/risk/gates.py", "passed = delta <= config.marginal_limit", "passed = True"
    ),
    "leverage": Mutation(
        "capital/risk/gates.py",
        "limit = max(before, limits.leverage)",
        "limit = max(before, after, limits.leverage)",
    ),
    "drawdown": Mutation(
        "capital/risk/gates.py",
        "limit = limits.drawdown if is_increase else max(limits.drawdown, drawdown)",
        "limit = max(limits.drawdown, drawdown)",
    ),
    "correlation": Mutation(
        "capital/risk/gates.py",
        "limit = limits.correlation if is_increase else max(limits.correlation, correlation)",
        "limit = max(limits.correlation, correlation)",
    ),
    "sector": Mutation(
        "capital/risk/gates.py",
        "limit = max(before, limits.sector)",
        "limit = max(before, after, limits.sector)",
    ),
    "standing_veto": Mutation(
        "vocabulary/governance/vetoes.py",
        "return self.strategy_id in (ALL, strategy_id or self.strategy_id) and",
        "return self.strategy_id == symbol and",
    ),
    "clock_jump": Mutation("loop/folding/fold.py", "is_late=inputs.is_late,", "is_late=False,"),
    "locked_warehouse": Mutation(
        "adapters/store/warehouse.py", "raise WarehouseBusy(", "raise WarehouseCorrupt("
    ),
    "corrupt_warehouse": Mutation(
        "loop/platform.py", "                (cause,),\n", "                (),\n"
    ),
    "two_leaders": Mutation(
        "adapters/runtime/locks.py",
        "        except BlockingIOError:\n            os.close(descriptor)\n"
        "            return False\n",
        "        except BlockingIOError:\n            pass\n",
    ),
    "reconciliation_difference": Mutation(
        "loop/live/settling/invariants.py",
        "broken = [row for row in found if not row.passed]",
        "broken = [row for row in found if row.passed is None]",
    ),
    "unknown_outcome": Mutation(
        "adapters/paper/store.py",
        "        except BaseException as error:\n            self._is_broken = True\n",
        "        except sqlite3.Error:\n            return\n"
        "        except BaseException as error:\n            self._is_broken = True\n",
    ),
    "feed_failure": Mutation(
        "loop/live/settling/latch.py",
        "    problems = []\n",
        '    if halt.reason_code == "UNEXPECTED_FAILURE":\n        return\n    problems = []\n',
    ),
    "stopped_system": Mutation(
        "vocabulary/governance/state.py",
        'nothing at all is sent in STOP_SYSTEM."""\n'
        "        return self is not SystemStateName.STOP_SYSTEM",
        'nothing at all is sent in STOP_SYSTEM."""\n        return True',
    ),
    "operator_halt": Mutation(
        "governance/state/events.py",
        "causes = [row.cause for row in _ledger(listed) if row.is_standing]",
        "causes = [\n        row.cause\n        for row in _ledger(listed)\n"
        '        if row.is_standing and row.cause.reason_code != "OPERATOR_HALT"\n    ]',
    ),
}

#: A second control that stands behind the first: the drill fails where neither works.
BEHIND: dict[str, Mutation] = {
    "snapshot_damaged": Mutation(
        "adapters/store/pinned.py",
        'if hashlib.sha256(files[f"{name}.parquet"]).hexdigest() != facts["sha256"]:',
        'if not hashlib.sha256(files[f"{name}.parquet"]).hexdigest():',
    ),
    "nan_forecast": Mutation(
        "loop/decision/blocks.py",
        "found += [ReasonCode.FORECAST_NOT_FINITE] * (not has_forecast)",
        "found += []",
    ),
    "standing_veto": Mutation(
        "governance/veto/standing.py", "if not self._by_scope:", "if self._by_scope:"
    ),
}


def edits_of(name: str) -> tuple[Mutation, ...]:
    """Give every edit that disabling a drill's control takes, each of another file."""
    return (MUTATIONS[name], *([BEHIND[name]] if name in BEHIND else []))


def mutated(mutation: Mutation) -> str:
    """Give the file's text after the edit; what is to be replaced must stand there once.

    Raises
    ------
    ValueError
        If the text stands in the file never or more than once: the edit has rotted.
    """
    text = (PACKAGE / mutation.path).read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise ValueError(
            f"{mutation.path} must hold once, had {text.count(mutation.old)} of {mutation.old!r}"
        )
    return text.replace(mutation.old, mutation.new)


def drill_mutated(name: str, folder: Path, *, base: Path) -> Evidence:
    """Copy the package, disable the drill's control in the copy, and hold the drill there.

    Parameters
    ----------
    base
        An installation that sound code set up.
    """
    copy = folder / "mutated" / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for mutation in edits_of(name):
        (copy / mutation.path).write_text(mutated(mutation), encoding="utf-8")
    scratch = folder / "scratch"
    scratch.mkdir()
    (row,) = drills_apart([name], CONFIG, scratch, package=copy.parent, base=base)
    return row
