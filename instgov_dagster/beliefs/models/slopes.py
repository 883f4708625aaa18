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


def _by_lane(state: State, lanes: int) -> None:
    # A regression begins as one; where panels lie side by side each has its own.
    if state["cross"].ndim == 2 or lanes == 1:
        return
    for name in ("cross", "square"):
        state[name] = np.repeat(state[name][None], lanes, axis=0)
    for name in ("pairs", "complete"):
        state[name] = np.repeat(state[name], lanes)


def learn(state: State, session: Session, features: Floats) -> None:
    """Add the pairs that mature with this session, and let its own features wait for theirs.

    Parameters
    ----------
    state
        Of ``start_regression``; changed in place, by lane where there are several.
    session
        ``matured`` is the future of the features that were handed in ``H`` sessions ago.
    features
        Shape ``(F, N)``, NaN where a symbol takes no part.
    """
    _by_lane(state, session.lanes)
    waiting = state["waiting"]
    rows = waiting.shape[0]
    seen = int(state["seen"][0])
    if seen >= rows - 1:
        then = waiting[(seen - (rows - 1)) % rows]
        pair = np.isfinite(session.matured) & np.isfinite(then).all(axis=0)
        x = np.where(pair, then, 0.0)
        y = np.where(pair, session.matured, 0.0)
        cross = session.pooled(x * y)
        square = session.pooled(x[:, None, :] * x[None, :, :])
        state["cross"] += np.moveaxis(cross, -1, 0).reshape(state["cross"].shape)
        state["square"] += np.moveaxis(square, -1, 0).reshape(state["square"].shape)
        pairs = session.pooled(pair)
        state["pairs"] += pairs
        state["complete"] += pairs > 0
    waiting[seen % rows] = features
    state["seen"] += 1


def slopes(state: State, *, min_sessions: int, penalty: float = 0.0) -> Floats:
    """Solve for the slopes through the origin, ``(F, L)`` for L lanes; NaN before enough sessions.

    Parameters
    ----------
    min_sessions
        Sessions that must have brought a complete pair.
    penalty
        Ridge penalty a pair: 1 halves the slope of a feature of unit variance (Hoerl and
        Kennard 1970, Technometrics 12).
    """
    n_features = state["cross"].shape[-1]
    cross = state["cross"].reshape(-1, n_features)
    square = state["square"].reshape(-1, n_features, n_features)
    is_ready = state["complete"] >= min_sessions
    is_ready &= (np.diagonal(square, axis1=1, axis2=2) > 0).all(axis=1)
    out = np.full(cross.shape, np.nan)
    if is_ready.any():
        ridge = penalty * state["pairs"][:, None, None] * np.eye(n_features)
        out[is_ready] = _solve((square + ridge)[is_ready], cross[is_ready])
    return out.T


def _solve(systems: Floats, targets: Floats) -> Floats:
    # Each lane alone; one that has no solution takes no other with it.
    try:
        return np.asarray(np.linalg.solve(systems, targets[:, :, None])[:, :, 0])
    except np.linalg.LinAlgError:
        if len(systems) == 1:
            return np.full(targets.shape, np.nan)
        pairs = zip(systems, targets, strict=True)
        return np.concatenate([_solve(a[None], b[None]) for a, b in pairs])
