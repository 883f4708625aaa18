"""A digest that is made when somebody asks for it, and once."""

from collections.abc import Callable


class Digest:
    """What a pure function says of what does not change: asked for once, then remembered.

    Parameters
    ----------
    make
        Gives the digest; let go of once it was asked.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], str]) -> None:
        self._make: Callable[[], str] | None = make
        self._made = ""

    def __str__(self) -> str:
        """Give the digest."""
        if self._make is not None:
            self._made, self._make = self._make(), None
        return self._made
