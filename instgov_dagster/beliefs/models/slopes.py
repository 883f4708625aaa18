"""Pooled regressions learnt one session at a time, from pairs whose future has come to pass."""

import numpy as np

from instgov_dagster.beliefs.hot.tape import Floats, Session, State


def start_regression(n_symbols: int, *, horizon: int, n_features: int) -> State:
    """Begin a pooled regression of the scaled future on ``F`` features, with no pair yet."""
    return {
        "waiting": np.full((horizon + 1, n_features, n_symbols), np.nan),
        "cross": np.zeros(n_features),
        "square": np.zeros((n_features, n_features)),
        "pairs": np.zeros(1, dtype=np.int64),
        "complete": np.zeros(1, dtype=np.int64),
        "seen": np.zeros(1, dtype=np.int64),
    }


def learn(state: State, session: Session, features: Floats) -> None:
    """Add the pairs that mature with this session, and let its own features wait for theirs.

    Parameters
    ----------
    state
        Of ``start_regression``; changed in place.
    session
        ``matured`` is the future of the features that were handed in ``H`` sessions ago.
    features
        Shape ``(F, N)``, NaN where a symbol takes no part.
    """
    waiting = state["waiting"]
    rows = waiting.shape[0]
    seen = int(state["seen"][0])
    if seen >= rows - 1:
        then = waiting[(seen - (rows - 1)) % rows]
        pair = np.isfinite(session.matured) & np.isfinite(then).all(axis=0)
        x = np.where(pair, then, 0.0)
        y = np.where(pair, session.matured, 0.0)
        state["cross"] += (x * y).sum(axis=1)
        state["square"] += (x[:, None, :] * x[None, :, :]).sum(axis=2)
        state["pairs"] += int(pair.sum())
        state["complete"] += int(pair.any())
    waiting[seen % rows] = features
    state["seen"] += 1


def slopes(state: State, *, min_sessions: int, penalty: float = 0.0) -> Floats:
    """Solve for the slopes through the origin, shape ``(F,)``; NaN before enough sessions.

    Parameters
    ----------
    min_sessions
        Sessions that must have brought a complete pair.
    penalty
        Ridge penalty a pair: 1 halves the slope of a feature of unit variance (Hoerl and
        Kennard 1970, Technometrics 12).
    """
    n_features = state["cross"].shape[0]
    unknown = np.full(n_features, np.nan)
    if int(state["complete"][0]) < min_sessions or not (np.diag(state["square"]) > 0).all():
        return unknown
    system = state["square"] + penalty * int(state["pairs"][0]) * np.eye(n_features)
    try:
        return np.asarray(np.linalg.solve(system, state["cross"]))
    except np.linalg.LinAlgError:
        return unknown
