"""What is told to people outside: alerts over SMTP and a webhook, and the health asked for."""

from instgov_dagster.adapters.alerts.alert import Alert
from instgov_dagster.adapters.alerts.channels import Channel, DeliveryFailed, open_channels
from instgov_dagster.adapters.alerts.desk import AlertDesk
from instgov_dagster.adapters.alerts.settings import AlertSettings, alert_settings

__all__ = [
    "Alert",
    "AlertDesk",
    "AlertSettings",
    "Channel",
    "DeliveryFailed",
    "alert_settings",
    "open_channels",
]
