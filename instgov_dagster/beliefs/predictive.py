"""The stated predictive law of a return: a Student-t scaled to sigma, and what is read off it."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# fixed by the names of the columns it fills: cvar_95, lower_95, upper_95 (roadmap 6.1, 6.5)
LEVEL_95 = 0.95


class StandardLaw(NamedTuple):
    """The law with mean zero and standard deviation one, in the numbers that are read off it."""

    dof: float
    unit: float  # standard deviations in one unit of the raw Student-t
    quantile_95: float  # below which 95 % lie
    half_width_95: float  # of the central interval
    cvar_95: float  # mean of the worst 5 %, as a positive loss

    def levels(self, errors: Floats) -> Floats:
        """Give the chance of an outcome no larger, of errors standardised by sigma."""
        from scipy.special import stdtr  # scipy is heavy at import

        return np.asarray(stdtr(self.dof, errors / self.unit))


class PredictiveLaw(NamedTuple):
    """What the law says of each return; every array has the shape of mu and sigma."""

    p_loss: Floats
    cvar_95: Floats
    lower_95: Floats
    upper_95: Floats


@lru_cache(maxsize=8)
def standard_law(dof: float) -> StandardLaw:
    """Work out the Student-t law of unit variance.

    Parameters
    ----------
    dof
        Degrees of freedom, above 2 so that a variance exists.

    Notes
    -----
    With density f, quantile q = F^-1(.95) and dof v the mean beyond q of the raw law is
    ``f(q) / .05 * (v + q^2) / (v - 1)`` (McNeil, Frey and Embrechts 2015, section 2.3).
    """
    from scipy.special import stdtrit  # scipy is heavy at import

    unit = math.sqrt((dof - 2.0) / dof)
    tail = 1.0 - LEVEL_95
    quantile = float(stdtrit(dof, LEVEL_95))
    log_density = (
        math.lgamma((dof + 1) / 2)
        - math.lgamma(dof / 2)
        - 0.5 * math.log(dof * math.pi)
        - 0.5 * (dof + 1) * math.log1p(quantile * quantile / dof)
    )
    beyond = math.exp(log_density) / tail * (dof + quantile * quantile) / (dof - 1.0)
    half_width = unit * float(stdtrit(dof, 1.0 - tail / 2.0))
    return StandardLaw(dof, unit, unit * quantile, half_width, unit * beyond)


def read_law(mu: Floats, sigma: Floats, law: StandardLaw) -> PredictiveLaw:
    """Read the chance of loss, the tail mean and the interval off the law.

    Parameters
    ----------
    mu, sigma
        Any one shape, per horizon; sigma > 0; NaN where there is no forecast.
    law
        The standardised law.
    """
    from scipy.special import stdtr  # scipy is heavy at import

    p_loss = np.asarray(stdtr(law.dof, -mu / (sigma * law.unit)))
    half_width = law.half_width_95 * sigma
    return PredictiveLaw(p_loss, law.cvar_95 * sigma - mu, mu - half_width, mu + half_width)
