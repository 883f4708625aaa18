"""The regime believed tonight, its horizon chances and the de-risk trigger; no observations."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.filtering import (
    FilteredPath,
    filter_forward,
    filter_lanes,
    hit_chances,
    look_ahead,
    stationary_distribution,
    student_t_log_density,
)
from instgov_dagster.vocabulary.beliefs import Regime, RegimeProbabilityState
from instgov_dagster.vocabulary.policy.beliefs import RegimePolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PATH_SCHEMA = pl.Schema(
    {
        "session": pl.Date,
        "current_belief_normal": pl.Float64,
        "current_belief_volatile": pl.Float64,
        "current_belief_crisis": pl.Float64,
        "p_hit_crisis_5d": pl.Float64,
        "gross_multiplier": pl.Float64,
        "is_derisked": pl.Boolean,
        "is_reduce_only": pl.Boolean,
        "is_input_missing": pl.Boolean,
    }
)
BELIEF_SCHEMA = pl.Schema(
    {
        "session": pl.Date(),
        "p_normal_5d": pl.Float64(),
        "p_volatile_5d": pl.Float64(),
        "p_crisis_5d": pl.Float64(),
        "p_hit_crisis_5d": pl.Float64(),
        "current_belief_normal": pl.Float64(),
        "current_belief_volatile": pl.Float64(),
        "current_belief_crisis": pl.Float64(),
        "spy_ma200_position": pl.Float64(),
        "volatility_percentile": pl.Float64(),
        "vix_level": pl.Float64(),
        "correlation_spike": pl.Float64(),
        "transition_matrix": pl.List(pl.Float64()),
        "gross_multiplier": pl.Float64(),
        "is_reduce_only": pl.Boolean(),
        "parameters": pl.String(),
        "reason_codes": pl.List(pl.String()),
        "known_at": pl.Datetime("us", "UTC"),
    }
)
_STATE_FIELDS = tuple(RegimeProbabilityState.__dataclass_fields__)
_OBSERVATIONS = ("spy_ma200_position", "volatility_percentile", "vix_level", "correlation_spike")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeBelief:
    """The belief after the last session held, what it does to the gross budget, and why.

    Notes
    -----
    ``path`` holds what was believed at every session (``PATH_SCHEMA``); it is empty when the
    belief was read back from its row.
    """

    session: date
    state: RegimeProbabilityState
    gross_multiplier: float
    is_reduce_only: bool
    reason_codes: tuple[ReasonCode, ...]
    parameters: str
    path: pl.DataFrame = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.gross_multiplier <= 1.0:
            raise ValueError(
                f"gross_multiplier must lie within [0, 1], was {self.gross_multiplier!r}"
            )
        if not self.reason_codes:
            raise ValueError("a regime belief must state at least one reason code")


class TriggerPath(NamedTuple):
    """Whether the de-risk and the reduce-only trigger stood at each session."""

    is_derisked: Bools
    is_reduce_only: Bools


def trigger_path(p_hit: Floats, policy: RegimePolicy) -> TriggerPath:
    """Latch the two triggers along the filtered path and release them with hysteresis.

    Parameters
    ----------
    p_hit
        Shape ``(T,)``, chance of crisis within the horizon as believed at each session.
    policy
        Thresholds and the number of quiet sessions a release takes.

    Notes
    -----
    SPEC 2: above .20 the budget is cut, from .50 on only reductions pass, and both are released
    together after 5 consecutive sessions below .15. A pure function of the path, so the state
    needs no memory between nights.
    """
    derisked = np.zeros(p_hit.shape[0], dtype=np.bool_)
    reduce_only = np.zeros(p_hit.shape[0], dtype=np.bool_)
    is_derisked = is_reduce_only = False
    quiet = 0
    for t, chance in enumerate(p_hit.tolist()):
        quiet = quiet + 1 if chance < policy.release_threshold else 0
        if quiet >= policy.release_sessions:
            is_derisked = is_reduce_only = False
        is_derisked = is_derisked or bool(chance > policy.derisk_threshold)
        is_reduce_only = is_reduce_only or bool(chance >= policy.reduce_only_threshold)
        derisked[t], reduce_only[t] = is_derisked, is_reduce_only
    return TriggerPath(derisked, reduce_only)


def mix_toward_volatile(beliefs: Floats, is_input_missing: Bools, *, share: float) -> Floats:
    """Move a share of the NORMAL belief to VOLATILE where an input is missing.

    Parameters
    ----------
    beliefs
        Shape ``(T, 3)``.
    is_input_missing
        Shape ``(T,)``.
    share
        Fraction of the NORMAL belief that moves, in (0, 1].

    Notes
    -----
    The CRISIS belief is left whole: losing sight of VIX in a crisis must not look like relief.
    The mix is applied to what is reported, not fed back into the filter, so it does not compound.
    """
    moved = np.where(is_input_missing, share * beliefs[:, 0], 0.0)
    mixed = beliefs.copy()
    mixed[:, 0] -= moved
    mixed[:, 1] += moved
    return mixed


def emission_log_densities(signals: pl.DataFrame, policy: RegimePolicy) -> Floats:
    """Sum the log densities of the four observations in each regime.

    Parameters
    ----------
    signals
        Output of ``market_signals``; a null observation is omitted from the sum.
    policy
        Emission tables and degrees of freedom.

    Returns
    -------
    Shape ``(T, 3)``.

    Notes
    -----
    The volatility percentile enters through the volatility it ranks. The rank is a monotone map
    of it, so the likelihood ratios between regimes are those of the volatility itself (the
    Jacobian is common and cancels), and the fixed table stays in units that a calm sample
    cannot stretch: the 95th percentile of a quiet year is still a quiet day.
    """
    columns = {
        "spy_ma200_position": policy.spy_ma200,
        "volatility_annual": policy.volatility,
        "vix_level": policy.vix,
        "correlation_spike": policy.correlation,
    }
    total = np.zeros((signals.height, len(Regime)))
    for name, table in columns.items():
        values = signals[name].fill_null(float("nan")).to_numpy()
        total += student_t_log_density(values, table, dof=policy.degrees_of_freedom)
    return total


def _gross_multipliers(p_hit: Floats, is_derisked: Bools, policy: RegimePolicy) -> Floats:
    return np.where(is_derisked, (1.0 - p_hit) ** policy.derisk_exponent, 1.0)


def _filtered(signals: Sequence[pl.DataFrame], policy: RegimePolicy) -> list[FilteredPath]:
    prior = np.array(
        [
            policy.transitions.normal.as_tuple(),
            policy.transitions.volatile.as_tuple(),
            policy.transitions.crisis.as_tuple(),
        ]
    )
    emissions = [emission_log_densities(frame, policy) for frame in signals]
    pseudo_counts, initial = policy.transition_pseudo_counts, stationary_distribution(prior)
    if len(emissions) == 1:  # arrays of one lane cost more than plain numbers
        return [filter_forward(emissions[0], prior, pseudo_counts=pseudo_counts, initial=initial)]
    return filter_lanes(emissions, prior, pseudo_counts=pseudo_counts, initial=initial)


def _believed_path(
    signals: pl.DataFrame, filtered: FilteredPath, policy: RegimePolicy
) -> pl.DataFrame:
    ages = signals.select("vix_age_sessions", "spy_age_sessions").to_numpy()
    is_missing = np.asarray((ages > policy.input_carry_sessions).any(axis=1))
    beliefs = mix_toward_volatile(filtered.beliefs, is_missing, share=policy.missing_input_mix)
    p_hit = hit_chances(beliefs, filtered.transitions, sessions=policy.horizon_sessions)
    triggers = trigger_path(p_hit, policy)
    return pl.DataFrame(
        {
            "session": signals["session"],
            "current_belief_normal": beliefs[:, 0],
            "current_belief_volatile": beliefs[:, 1],
            "current_belief_crisis": beliefs[:, 2],
            "p_hit_crisis_5d": p_hit,
            "gross_multiplier": _gross_multipliers(p_hit, triggers.is_derisked, policy),
            "is_derisked": triggers.is_derisked,
            "is_reduce_only": triggers.is_reduce_only,
            "is_input_missing": is_missing,
        },
        schema=PATH_SCHEMA,
    )


def _reasons(last: Mapping[str, Any]) -> tuple[ReasonCode, ...]:
    reasons: list[ReasonCode] = []
    if last["is_input_missing"]:
        reasons.append(ReasonCode.REGIME_INPUT_MISSING)
    if last["is_reduce_only"]:
        reasons.append(ReasonCode.REGIME_CRISIS_REDUCE_ONLY)
    if last["is_derisked"]:
        reasons.append(ReasonCode.REGIME_PREEMPTIVE_DERISK)
    return tuple(reasons) or (ReasonCode.REGIME_NORMAL,)


def believe_regime(signals: pl.DataFrame, policy: RegimePolicy) -> RegimeBelief:
    """Filter the regime through every session held and state what is believed after the last.

    Parameters
    ----------
    signals
        Output of ``market_signals``, at least one session.
    policy
        Emissions, prior, horizon and triggers.

    Raises
    ------
    ValueError
        If no session is held.

    Notes
    -----
    Roadmap 7.2-7.4, SPEC 2. Filtered, never smoothed; the transition matrix is the posterior
    mean after the last session.
    """
    return believe_regimes([signals], policy)[0]


def believe_regimes(signals: Sequence[pl.DataFrame], policy: RegimePolicy) -> list[RegimeBelief]:
    """State what is believed of several spans, each as :func:`believe_regime` states it.

    Raises
    ------
    ValueError
        If a span holds no session.
    """
    if any(frame.is_empty() for frame in signals):
        raise ValueError("signals must hold at least one session, was empty")
    parameters = json.dumps(asdict(policy), sort_keys=True)
    return [
        _stated(frame, filtered, policy, parameters)
        for frame, filtered in zip(signals, _filtered(signals, policy), strict=True)
    ]


def _stated(
    signals: pl.DataFrame, filtered: FilteredPath, policy: RegimePolicy, parameters: str
) -> RegimeBelief:
    path, transition = _believed_path(signals, filtered, policy), filtered.transitions[-1]
    last = path.row(-1, named=True)
    belief = np.array([last[f"current_belief_{regime.lower()}"] for regime in Regime])
    ahead = look_ahead(belief, transition, sessions=policy.horizon_sessions)
    observed = signals.row(-1, named=True)
    state = RegimeProbabilityState(
        p_normal_5d=float(ahead.state[0]),
        p_volatile_5d=float(ahead.state[1]),
        p_crisis_5d=float(ahead.state[2]),
        p_hit_crisis_5d=ahead.hit,
        current_belief_normal=last["current_belief_normal"],
        current_belief_volatile=last["current_belief_volatile"],
        current_belief_crisis=last["current_belief_crisis"],
        transition_matrix=tuple((float(a), float(b), float(c)) for a, b, c in transition),
        **{name: observed[name] for name in _OBSERVATIONS},
    )
    return RegimeBelief(
        session=last["session"],
        state=state,
        gross_multiplier=last["gross_multiplier"],
        is_reduce_only=last["is_reduce_only"],
        reason_codes=_reasons(last),
        parameters=parameters,
        path=path,
    )


def belief_to_row(belief: RegimeBelief) -> dict[str, Any]:
    """Lay a belief out as one row of ``BELIEF_SCHEMA``; the matrix row by row in one list."""
    row: dict[str, Any] = {"session": belief.session}
    row |= {name: getattr(belief.state, name) for name in _STATE_FIELDS}
    row["transition_matrix"] = [p for line in belief.state.transition_matrix for p in line]
    return row | {
        "gross_multiplier": belief.gross_multiplier,
        "is_reduce_only": belief.is_reduce_only,
        "parameters": belief.parameters,
        "reason_codes": [str(reason) for reason in belief.reason_codes],
    }


def sum_error(row: Mapping[str, Any]) -> float:
    """Give how far the sums of a row of ``regime_beliefs`` are from 1, at most.

    Today's belief, that of five sessions ahead and each line of the matrix are summed; a sum that
    is not a number is infinitely far.
    """
    flat, n = tuple(row["transition_matrix"]), len(Regime)
    names = ("current_belief_{}", "p_{}_5d")
    sums = [[row[name.format(regime.value.lower())] for regime in Regime] for name in names] + [
        list(flat[i : i + n]) for i in range(0, len(flat), n)
    ]
    errors = [abs(math.fsum(numbers) - 1.0) for numbers in sums]
    return max(error if math.isfinite(error) else math.inf for error in errors)


def belief_from_row(row: Mapping[str, Any]) -> RegimeBelief:
    """Read a belief back from its row of ``regime_beliefs``, refusing what no belief can be.

    Raises
    ------
    ValueError
        If a probability, the matrix or a reason code is not valid.
    """
    flat = tuple(row["transition_matrix"])
    n = len(Regime)
    if len(flat) != n * n:
        raise ValueError(f"transition_matrix must have {n * n} entries, had {len(flat)}")
    fields = {name: row[name] for name in _STATE_FIELDS if name != "transition_matrix"}
    rows = tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, n * n, n))
    return RegimeBelief(
        session=row["session"],
        state=RegimeProbabilityState(**fields, transition_matrix=rows),
        gross_multiplier=row["gross_multiplier"],
        is_reduce_only=row["is_reduce_only"],
        reason_codes=tuple(ReasonCode(code) for code in row["reason_codes"]),
        parameters=row["parameters"],
        path=pl.DataFrame(schema=PATH_SCHEMA),
    )
