"""The channels' settings: what is refused, and that no secret is ever shown."""

import pytest

from instgov_dagster.adapters.alerts.settings import AlertSettings, Security, alert_settings
from instgov_dagster.vocabulary.errors import InputError

MAIL = {
    "INSTGOV_ALERT_SMTP": "mail.example.org:587",
    "INSTGOV_ALERT_FROM": "watch@example.org",
    "INSTGOV_ALERT_TO": "ann@example.org, bob@example.org",
}
LOGIN = {"INSTGOV_ALERT_SMTP_USER": "watch", "INSTGOV_ALERT_SMTP_PASSWORD": "s3cret-word"}
HOOK = {"INSTGOV_ALERT_WEBHOOK": "https://user:pass@chat.example.org/services/T0KEN"}


def test_without_settings_there_is_no_channel() -> None:
    assert alert_settings({}) == AlertSettings()


def test_a_mail_server_is_read_whole() -> None:
    target = alert_settings(MAIL).smtp
    assert target is not None
    assert (target.host, target.port) == ("mail.example.org", 587)
    assert target.recipients == ("ann@example.org", "bob@example.org")
    assert target.security is Security.NONE


def test_a_password_asks_for_encryption_by_itself() -> None:
    target = alert_settings(MAIL | LOGIN).smtp
    assert target is not None
    assert target.security is Security.STARTTLS


@pytest.mark.parametrize(
    ("change", "variable"),
    [
        ({"INSTGOV_ALERT_SMTP": "mail.example.org"}, "INSTGOV_ALERT_SMTP"),
        ({"INSTGOV_ALERT_SMTP": "mail.example.org:0"}, "INSTGOV_ALERT_SMTP"),
        ({"INSTGOV_ALERT_SMTP": ":25"}, "INSTGOV_ALERT_SMTP"),
        ({"INSTGOV_ALERT_FROM": ""}, "INSTGOV_ALERT_FROM"),
        ({"INSTGOV_ALERT_FROM": "a@b.org\nBcc: c@d.org"}, "INSTGOV_ALERT_FROM"),
        ({"INSTGOV_ALERT_TO": " , "}, "INSTGOV_ALERT_TO"),
        ({"INSTGOV_ALERT_TO": "nobody"}, "INSTGOV_ALERT_TO"),
        ({"INSTGOV_ALERT_SMTP_USER": "watch"}, "INSTGOV_ALERT_SMTP_PASSWORD"),
        (LOGIN | {"INSTGOV_ALERT_SMTP_SECURITY": "none"}, "INSTGOV_ALERT_SMTP_SECURITY"),
        ({"INSTGOV_ALERT_SMTP_SECURITY": "ssl"}, "INSTGOV_ALERT_SMTP_SECURITY"),
        ({"INSTGOV_ALERT_WEBHOOK": "file:///etc/passwd"}, "INSTGOV_ALERT_WEBHOOK"),
        ({"INSTGOV_ALERT_WEBHOOK": "https://"}, "INSTGOV_ALERT_WEBHOOK"),
        ({"INSTGOV_ALERT_WEBHOOK": "https://a.org:notaport/T0KEN"}, "INSTGOV_ALERT_WEBHOOK"),
        ({"INSTGOV_ALERT_LEVEL": "loud"}, "INSTGOV_ALERT_LEVEL"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_variable_and_shows_no_secret(
    change: dict[str, str], variable: str
) -> None:
    with pytest.raises(InputError, match=variable) as refused:
        alert_settings(MAIL | change)
    assert "s3cret-word" not in str(refused.value)
    assert "T0KEN" not in str(refused.value)


def test_no_text_of_the_settings_holds_a_secret() -> None:
    settings = alert_settings(MAIL | LOGIN | HOOK)
    assert settings.webhook is not None
    assert settings.webhook.host == "chat.example.org"
    for text in (repr(settings), str(settings)):
        assert not [word for word in ("s3cret-word", "T0KEN", "pass") if word in text]
