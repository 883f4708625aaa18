"""The channels: a mail server and a webhook, each delivery taken within a deadline or failed."""

import json
import smtplib
import ssl
import threading
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Protocol

from instgov_dagster.adapters.alerts.alert import Alert
from instgov_dagster.adapters.alerts.settings import (
    AlertSettings,
    Security,
    SmtpTarget,
    WebhookTarget,
)
from instgov_dagster.adapters.runtime.quiet import keep_addresses_quiet

_MOST_SUBJECT = 150


class DeliveryFailed(Exception):  # noqa: N818  # a verdict on one delivery, which is tried again
    """A channel did not take an alert; the text names no address and no secret."""


class Channel(Protocol):
    """One way to a person."""

    @property
    def name(self) -> str:
        """The channel's word in logs and in the outbox."""
        ...

    def send(self, alert: Alert, *, deadline_seconds: float) -> None:
        """Deliver one alert; return only once the other side has taken it.

        Raises
        ------
        DeliveryFailed
            If it was refused, cut off or not answered in time.
        """
        ...


def open_channels(settings: AlertSettings) -> tuple[Channel, ...]:
    """Give the channels that are set up; nothing is connected before something is sent."""
    found: list[Channel] = []
    if settings.smtp is not None:
        found.append(SmtpChannel(settings.smtp))
    if settings.webhook is not None:
        found.append(WebhookChannel(settings.webhook))
    return tuple(found)


class SmtpChannel:
    """One mail an alert: the sentence as subject, all facts as JSON in the body."""

    name = "smtp"

    def __init__(self, target: SmtpTarget) -> None:
        self._target = target

    def send(self, alert: Alert, *, deadline_seconds: float) -> None:
        """Hand the mail to the server, which has taken it when this returns."""
        message = mail_of(alert, self._target)

        def deliver() -> None:
            try:
                self._deliver(message, deadline_seconds)
            except smtplib.SMTPResponseException as error:
                raise DeliveryFailed(f"{type(error).__name__} {error.smtp_code}") from None
            except (OSError, smtplib.SMTPException) as error:
                raise DeliveryFailed(type(error).__name__) from None

        within(deliver, deadline_seconds)

    def _deliver(self, message: EmailMessage, timeout: float) -> None:
        target = self._target
        if target.security is Security.TLS:
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                target.host, target.port, timeout=timeout, context=context
            )
        else:
            server = smtplib.SMTP(target.host, target.port, timeout=timeout)
        with server:
            if target.security is Security.STARTTLS:
                server.starttls(context=ssl.create_default_context())
            if target.user is not None and target.password is not None:
                server.login(target.user, target.password)
            refused = server.send_message(message)
        if refused:
            raise DeliveryFailed(f"{len(refused)} of {len(target.recipients)} recipients refused")


def mail_of(alert: Alert, target: SmtpTarget) -> EmailMessage:
    """Write an alert as a mail; nothing an alert says can become a header of its own."""
    message = EmailMessage()
    subject = f"[instgov] {alert.sentence}"
    message["Subject"] = "".join(c if c.isprintable() else " " for c in subject)[:_MOST_SUBJECT]
    message["From"] = target.sender
    message["To"] = ", ".join(target.recipients)
    message["Date"] = format_datetime(alert.at)
    message["Message-ID"] = make_msgid(domain="instgov.invalid")
    body = json.dumps(alert.to_dict(), indent=2, sort_keys=True, ensure_ascii=False)
    message.set_content(f"{alert.sentence}\n\n{body}\n")
    return message


class WebhookChannel:
    """One POST of JSON an alert; any answer but a 2xx is a failure, and none is followed."""

    name = "webhook"

    def __init__(self, target: WebhookTarget) -> None:
        keep_addresses_quiet()
        self._target = target

    def send(self, alert: Alert, *, deadline_seconds: float) -> None:
        """Post the alert; its field `text` is what chat services show."""
        import requests

        def deliver() -> None:
            try:
                with requests.post(
                    self._target.url,
                    json=alert.to_dict(),
                    timeout=deadline_seconds,
                    allow_redirects=False,
                    stream=True,  # the status is all that is read
                ) as answer:
                    status = answer.status_code
            except (requests.RequestException, OSError) as error:
                # The error's text holds the address, and with it perhaps a token.
                raise DeliveryFailed(type(error).__name__) from None
            if not 200 <= status < 300:
                raise DeliveryFailed(f"HTTP {status}")

        within(deliver, deadline_seconds)


class _Delivery(threading.Thread):
    # A library's time-out holds for each read: a server that drips bytes is waited for for ever.
    def __init__(self, work: "Work") -> None:
        super().__init__(daemon=True, name="alert-delivery")
        self._work = work
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  # carried to the caller, who raises it
            self.failure = error


class Work(Protocol):
    """Something to do that gives nothing back."""

    def __call__(self) -> None:
        """Do it."""
        ...


def within(work: Work, seconds: float) -> None:
    """Do something in a thread and wait for it so long; what does not end in time is left behind.

    Raises
    ------
    DeliveryFailed
        If it did not end in time, or failed.
    """
    delivery = _Delivery(work)
    delivery.start()
    delivery.join(seconds)
    if delivery.is_alive():
        raise DeliveryFailed(f"no answer in {seconds:g} s")
    if isinstance(delivery.failure, DeliveryFailed):
        raise delivery.failure
    if delivery.failure is not None:
        raise DeliveryFailed(type(delivery.failure).__name__) from None
