"""The channels against real servers on loopback: what arrives, and every way it may not."""

import logging
from datetime import UTC, datetime

import pytest

from instgov_dagster.adapters.alerts import Alert, DeliveryFailed, alert_settings, open_channels
from instgov_dagster.adapters.alerts.channels import SmtpChannel, WebhookChannel, mail_of
from instgov_dagster.adapters.alerts.settings import Security, SmtpTarget, WebhookTarget
from instgov_dagster_tests.adapters.alerts.servers import Hook, Mailbox, Mood, closed_port

AT = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
ALERT = Alert.of(
    "state_changed",
    logging.ERROR,
    {"state": "HALT_SYSTEM", "causes": ["OPERATOR_HALT: a drill"], "key": "here"},
    at=AT,
)
SOON = 0.3


def smtp(port: int) -> SmtpChannel:
    return SmtpChannel(
        SmtpTarget(
            host="127.0.0.1",
            port=port,
            sender="watch@example.org",
            recipients=("ann@example.org", "bob@example.org"),
            security=Security.NONE,
        )
    )


def webhook(port: int) -> WebhookChannel:
    return WebhookChannel(WebhookTarget(url=f"http://127.0.0.1:{port}/hooks/T0KEN-secret"))


def test_a_mail_arrives_with_its_subject_its_recipients_and_all_facts(mailbox: Mailbox) -> None:
    smtp(mailbox.port).send(ALERT, deadline_seconds=5.0)
    (mail,) = mailbox.mails
    assert mail["Subject"] == "[instgov] ERROR state_changed HALT_SYSTEM"
    assert mail["To"] == "ann@example.org, bob@example.org"
    assert len(mailbox.recipients) == 2
    text = mail.get_content()
    assert '"OPERATOR_HALT: a drill"' in text
    assert '"at": "2025-03-12T14:30:00+00:00"' in text


def test_a_post_arrives_as_json_with_a_text_for_people(hook: Hook) -> None:
    webhook(hook.port).send(ALERT, deadline_seconds=5.0)
    assert hook.posts == [
        {
            "at": "2025-03-12T14:30:00+00:00",
            "event": "state_changed",
            "facts": {
                "causes": ["OPERATOR_HALT: a drill"],
                "key": "here",
                "state": "HALT_SYSTEM",
            },
            "key": "here",
            "level": "ERROR",
            "text": "ERROR state_changed HALT_SYSTEM",
        }
    ]
    assert hook.paths == ["/hooks/T0KEN-secret"]


@pytest.mark.parametrize("mood", [Mood.REFUSES, Mood.HANGS, Mood.DRIPS, Mood.CUTS])
def test_a_mail_that_is_not_taken_in_time_has_failed(mailbox: Mailbox, mood: Mood) -> None:
    mailbox.mood = mood
    with pytest.raises(DeliveryFailed):
        smtp(mailbox.port).send(ALERT, deadline_seconds=SOON)
    assert (mailbox.mails, mailbox.calls) == ([], 1)


@pytest.mark.parametrize(
    ("mood", "why"),
    [
        (Mood.REFUSES, "HTTP 500"),
        (Mood.HANGS, "ReadTimeout|no answer"),
        (Mood.DRIPS, "no answer in 0.3 s"),
        (Mood.CUTS, "ConnectionError"),
    ],
)
def test_a_post_that_is_not_taken_in_time_has_failed_and_tells_no_address(
    hook: Hook, mood: Mood, why: str
) -> None:
    hook.mood = mood
    with pytest.raises(DeliveryFailed, match=why) as failed:
        webhook(hook.port).send(ALERT, deadline_seconds=SOON)
    assert "T0KEN" not in str(failed.value)
    assert (hook.posts, hook.calls) == ([], 1)


def test_nobody_listening_is_a_failure_of_either_channel() -> None:
    port = closed_port()
    for channel in (smtp(port), webhook(port)):
        with pytest.raises(DeliveryFailed) as failed:
            channel.send(ALERT, deadline_seconds=5.0)
        assert "T0KEN" not in str(failed.value)


def test_nothing_an_alert_says_becomes_a_header_of_its_mail() -> None:
    target = smtp(25)._target
    forged = Alert.of("a\r\nBcc: eve@example.org", logging.ERROR, {}, at=AT)
    mail = mail_of(forged, target)
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]


def test_the_channels_are_those_that_are_set_up(hook: Hook) -> None:
    assert open_channels(alert_settings({})) == ()
    (only,) = open_channels(alert_settings({"INSTGOV_ALERT_WEBHOOK": hook.url}))
    only.send(ALERT, deadline_seconds=5.0)
    assert len(hook.posts) == 1
