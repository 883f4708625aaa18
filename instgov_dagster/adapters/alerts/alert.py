"""One alert: what happened, how grave, when, and what makes it the same as another."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

#: The fact that tells two subjects of one event apart, where there is one.
KEY_FACT = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What is told.

    Attributes
    ----------
    event, key
        What happened, a word, and to what; together they are remembered.
    level
        One of `logging`'s levels.
    at
        When, UTC.
    facts
        JSON values beside it.
    """

    event: str
    key: str
    level: int
    at: datetime
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, event: str, level: int, facts: Mapping[str, Any], *, at: datetime) -> Self:
        """Make an alert of facts of any kind; what JSON does not know is told as text."""
        plain = json.loads(json.dumps(dict(facts), default=str))
        return cls(event=event, key=str(plain.get(KEY_FACT, "")), level=level, at=at, facts=plain)

    @property
    def name(self) -> str:
        """What the alert is remembered by: event and key."""
        return f"{self.event}|{self.key}"

    @property
    def level_name(self) -> str:
        """The gravity as a word."""
        return logging.getLevelName(self.level)

    @property
    def sentence(self) -> str:
        """One line for a person: gravity, event, and the text the facts carry, if they do."""
        said = [_said(self.facts[name]) for name in ("state", "reasons", "message") if name in self]
        return " ".join(" ".join([self.level_name, self.event, *said]).split())

    def __contains__(self, fact: str) -> bool:
        return bool(self.facts.get(fact))

    def digest(self) -> str:
        """Hash what the alert says: two that differ in numbers alone say the same.

        Notes
        -----
        An age or a count is another at every look; were it part of what is said, one standing
        condition would be told at every tick.
        """
        said = {"level": self.level, "facts": _without_numbers(self.facts)}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Write the alert as plain JSON values, as the webhook sends it and the outbox keeps it."""
        return {
            "event": self.event,
            "key": self.key,
            "level": self.level_name,
            "at": self.at.isoformat(),
            "text": self.sentence,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is nothing that `to_dict` wrote.
        """
        return cls(
            event=str(plain["event"]),
            key=str(plain["key"]),
            level=logging.getLevelNamesMapping()[plain["level"]],
            at=datetime.fromisoformat(plain["at"]),
            facts=dict(plain["facts"]),
        )


def _said(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _without_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_numbers(item) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number else value
