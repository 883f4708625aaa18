"""Running sums of standardised errors: every trailing window is a difference of two rows."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SUMMED: Final = ("count", "total", "squares", "lagged")


class ErrorSums:
    """Errors of some columns and the running sums over their sessions, by name.

    Parameters
    ----------
    arrays
        Shape ``(T, C)`` each. ``known``: the errors, 0 where unknown. ``count``, ``total``,
        ``squares``, ``lagged``: the running sums of what is known, of its value, its square and
        its product with the error before.
    last
        What stands in the last session instead, ``(C,)`` by name; empty where nothing does.
    columns
        Those looked at; all unless told otherwise.

    Notes
    -----
    A running sum is added up session by session, so with another last error only the last row is
    another: :meth:`ending` shares all that came before.
    """

    def __init__(
        self,
        arrays: Mapping[str, Floats],
        last: Mapping[str, Floats],
        columns: NDArray[np.intp] | None = None,
    ) -> None:
        self._arrays, self._last, self._columns = arrays, last, columns

    @classmethod
    def of(cls, *errors: Floats) -> "ErrorSums":
        """Sum errors up, ``(T, N)`` each, NaN where unknown; side by side in the columns."""
        sessions, n = errors[0].shape
        known = np.zeros((sessions, len(errors) * n))
        summed = np.empty((sessions, len(_SUMMED), len(errors) * n))
        for place, mine in enumerate(errors):
            columns = slice(place * n, (place + 1) * n)
            _lay_out(mine, known[:, columns], summed[..., columns])
        # One row after the other: the columns side by side do not wait for each other.
        for session in range(1, sessions):
            summed[session] += summed[session - 1]
        arrays = {name: summed[:, place] for place, name in enumerate(_SUMMED)}
        return cls({"known": known, **arrays}, {})

    @property
    def shape(self) -> tuple[int, int]:
        """Give sessions and columns."""
        sessions, columns = self._arrays["known"].shape
        return sessions, columns if self._columns is None else self._columns.size

    def ending(self, errors: Floats) -> "ErrorSums":
        """Give the same with other errors in the last of at least two sessions, ``(C,)``."""
        is_known = np.isfinite(errors)
        known = np.where(is_known, errors, 0.0)
        parts = _parts(is_known, known, self._arrays["known"][-2])
        summed = {
            name: self._arrays[name][-2] + part for name, part in zip(_SUMMED, parts, strict=True)
        }
        return ErrorSums(self._arrays, {"known": known, **summed}, self._columns)

    def of_columns(self, columns: NDArray[np.intp]) -> "ErrorSums":
        """Look at some of all columns."""
        return ErrorSums(self._arrays, self._last, columns)

    def rows(self, name: str, begin: int, end: int) -> Floats:
        """Copy the sessions of ``[begin, end)``, ``(end - begin, C)``."""
        array = self._arrays[name]
        found = self._seen(array[begin:end]).copy()
        if self._last and begin < end == array.shape[0]:
            found[-1] = self._seen(self._last[name])
        return found

    def windows(self, name: str, window: int, begin: int, end: int) -> Floats:
        """Sum the window that ends in each session of ``[begin, end)``, shorter at the start."""
        sums = self.rows(name, begin, end)
        at = max(begin, window)
        if at < end:
            sums[at - begin :] -= self._seen(self._arrays[name][at - window : end - window])
        return sums

    def _seen(self, rows: Floats) -> Floats:
        return rows if self._columns is None else rows[..., self._columns]


def _parts(is_known: NDArray[np.bool_], known: Floats, before: Floats) -> tuple[Floats, ...]:
    # What a session adds to each sum; a product past all numbers adds nothing.
    squares, lagged = known * known, known * before
    return (
        is_known.astype(np.float64),
        known,
        np.where(np.isfinite(squares), squares, 0.0),
        np.where(np.isfinite(lagged), lagged, 0.0),
    )


def _lay_out(errors: Floats, known: Floats, parts: Floats) -> None:
    # `_parts` of every session written where they are summed: new memory is what costs here.
    is_known = np.isfinite(errors)
    np.copyto(known, errors, where=is_known)
    parts[:, 0], parts[:, 1] = is_known, known
    np.multiply(known, known, out=parts[:, 2])
    np.multiply(known[1:], known[:-1], out=parts[1:, 3])
    parts[:1, 3] = 0.0
    for product in (parts[:, 2], parts[:, 3]):
        is_finite = np.isfinite(product)
        if not is_finite.all():
            np.copyto(product, 0.0, where=~is_finite)
