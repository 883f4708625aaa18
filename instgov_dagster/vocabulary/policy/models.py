"""The numbers of the sigma models and of the models' evaluation; nothing is computed here."""

from dataclasses import dataclass

from instgov_dagster.vocabulary.checks import check_bounds, number


@dataclass(frozen=True, slots=True, kw_only=True)
class SigmaPolicy:
    """How the deviation of a return is estimated (SPEC 3).

    Notes
    -----
    ``garch_*`` rule the nightly fits: the returns they read, how often they are repeated, the
    persistence beyond which a fit is refused, the age at which parameters fall silent.
    ``age_half_life_sessions`` is the age in which trust in parameters halves.
    """

    ewma_fast: float = number(0.94, gt=0, lt=1)
    ewma_slow: float = number(0.97, gt=0, lt=1)
    rolling_sessions: int = number(252, ge=63, le=1260)
    range_sessions: int = number(21, ge=5, le=252)
    range_min_sessions: int = number(15, ge=3, le=252)
    garch_sessions: int = number(1260, ge=252, le=2520)
    garch_min_sessions: int = number(500, ge=252, le=2520)
    garch_refit_sessions: int = number(5, ge=1, le=252)
    garch_max_age_sessions: int = number(63, ge=1, le=252)
    garch_max_persistence: float = number(0.9999, gt=0, lt=1)
    age_half_life_sessions: float = number(63.0, gt=0, le=2520)
    parallel_from: int = number(64, ge=2, le=100_000)
    workers: int = number(2, ge=1, le=64)

    def __post_init__(self) -> None:
        check_bounds(self)
        for least, most in (
            ("range_min_sessions", "range_sessions"),
            ("garch_min_sessions", "garch_sessions"),
            ("garch_refit_sessions", "garch_max_age_sessions"),
        ):
            if getattr(self, least) > getattr(self, most):
                raise ValueError(
                    f"SigmaPolicy.{least} must be <= {most} = {getattr(self, most)}, "
                    f"was {getattr(self, least)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPolicy:
    """How the models' forecasts are evaluated out of sample (SPEC 3).

    Notes
    -----
    ``min_sessions`` is what a score needs at least; ``credible_r2`` is the out-of-sample R2 above
    which a mu model is not believed.
    """

    significance: float = number(0.05, gt=0, lt=0.5)
    min_sessions: int = number(63, ge=21, le=1260)
    min_symbols: int = number(5, ge=2, le=1000)
    ic_window_sessions: int = number(126, ge=21, le=1260)
    credible_r2: float = number(0.01, gt=0, lt=1)
    reliability_bins: int = number(10, ge=4, le=50)

    def __post_init__(self) -> None:
        check_bounds(self)
