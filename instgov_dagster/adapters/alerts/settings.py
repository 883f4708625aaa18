"""Where alerts go, read from the environment: secrets stand there alone and are never shown."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from instgov_dagster.vocabulary.errors import InputError

SMTP_VARIABLE = "INSTGOV_ALERT_SMTP"
SECURITY_VARIABLE = "INSTGOV_ALERT_SMTP_SECURITY"
USER_VARIABLE = "INSTGOV_ALERT_SMTP_USER"
PASSWORD_VARIABLE = "INSTGOV_ALERT_SMTP_PASSWORD"  # noqa: S105  # the variable's name
FROM_VARIABLE = "INSTGOV_ALERT_FROM"
TO_VARIABLE = "INSTGOV_ALERT_TO"
WEBHOOK_VARIABLE = "INSTGOV_ALERT_WEBHOOK"
LEVEL_VARIABLE = "INSTGOV_ALERT_LEVEL"

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Security(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpTarget:
    """A mail server, who writes and to whom; the password is in no text of this object."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    security: Security
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """An address that takes a POST; its path may hold a secret and is in no text of this object."""

    url: str = field(repr=False)

    @property
    def host(self) -> str:
        """What may be shown of the address."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """The channels that are set up, and the least gravity they are told."""

    smtp: SmtpTarget | None = None
    webhook: WebhookTarget | None = None
    least_level: int = logging.INFO


def alert_settings(environment: Mapping[str, str]) -> AlertSettings:
    """Read the channels; one that is not named is not used.

    Raises
    ------
    InputError
        On a setting that cannot work, naming its variable and never a secret.
    """
    word = environment.get(LEVEL_VARIABLE, "").strip() or "INFO"
    if word not in _LEVELS:
        raise InputError(f"{LEVEL_VARIABLE} must be one of {', '.join(_LEVELS)}, was {word!r}")
    return AlertSettings(
        smtp=_smtp(environment),
        webhook=_webhook(environment.get(WEBHOOK_VARIABLE, "").strip()),
        least_level=logging.getLevelNamesMapping()[word],
    )


def _smtp(environment: Mapping[str, str]) -> SmtpTarget | None:
    server = environment.get(SMTP_VARIABLE, "").strip()
    if not server:
        return None
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InputError(f"{SMTP_VARIABLE} must be host:port, was {server!r}")
    recipients = [name.strip() for name in environment.get(TO_VARIABLE, "").split(",")]
    recipients = [name for name in recipients if name]
    sender = environment.get(FROM_VARIABLE, "").strip()
    for variable, names in ((FROM_VARIABLE, [sender]), (TO_VARIABLE, recipients)):
        if not names or not all(_is_address(name) for name in names):
            raise InputError(f"{variable} must hold mail addresses, was {', '.join(names)!r}")
    user = environment.get(USER_VARIABLE, "") or None
    password = environment.get(PASSWORD_VARIABLE, "") or None
    if (user is None) is not (password is None):
        raise InputError(f"{USER_VARIABLE} and {PASSWORD_VARIABLE} must be given together")
    return SmtpTarget(
        host=host.strip("[]"),
        port=int(port),
        sender=sender,
        recipients=tuple(recipients),
        security=_security(environment.get(SECURITY_VARIABLE, "").strip(), has_secret=bool(user)),
        user=user,
        password=password,
    )


def _is_address(text: str) -> bool:
    name, _, domain = text.rpartition("@")
    return bool(name and domain) and text.isprintable() and " " not in text


def _security(word: str, *, has_secret: bool) -> Security:
    chosen = word or (Security.STARTTLS.value if has_secret else Security.NONE.value)
    if chosen not in {kind.value for kind in Security}:
        names = ", ".join(kind.value for kind in Security)
        raise InputError(f"{SECURITY_VARIABLE} must be one of {names}, was {word!r}")
    if has_secret and chosen == Security.NONE.value:
        raise InputError(f"{SECURITY_VARIABLE} must not be none where a password is sent")
    return Security(chosen)


def _webhook(url: str) -> WebhookTarget | None:
    if not url:
        return None
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # a bad one raises only when it is read
    except ValueError:
        is_usable = False
    if not is_usable or not url.isprintable():
        # The address is a secret as a whole: a token may stand anywhere in it.
        raise InputError(f"{WEBHOOK_VARIABLE} must be an http or https address, and is none")
    return WebhookTarget(url=url)
