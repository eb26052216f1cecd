"""The settings in force for a command, and how they reach a child process."""

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.settings import Setting, Settings, load, variable_of

#: What fits Apache Kafka better than the defaults, which are made for the embedded broker. A value that somebody set
#: stays. Its smallest session timeout is 6 s (group.min.session.timeout.ms).
EXTERNAL_KAFKA: Mapping[str, Any] = {
    "kafka.contiguous": False,
    "kafka.idempotence": True,
    "kafka.partitions": 12,
    "kafka.session_timeout": 10.0,
    "kafka.heartbeat_interval": 2.0,
}


def configure(command_line: Mapping[str, Any] | None = None) -> tuple[Settings, list[Setting]]:
    """The settings, with the defaults that fit the kind of broker. Raises SettingsError."""
    settings, listed = load(command_line)
    if settings.kafka.embedded:
        return settings, listed
    untouched = {setting.name for setting in listed if setting.origin == "default"}
    fitting = {name: value for name, value in EXTERNAL_KAFKA.items() if name in untouched}
    settings, listed = load({**(command_line or {}), **fitting})
    named = [
        msgspec.structs.replace(setting, origin="default for a broker of your own")
        if setting.name in fitting
        else setting
        for setting in listed
    ]
    return settings, named


def environment_for_children(listed: list[Setting]) -> dict[str, str]:
    """This process's environment with every setting that differs from its default, so that no child reads a file."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
    for setting in listed:
        if setting.origin != "default":
            environment[variable_of(setting.name)] = _text(setting.value)
    return environment


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return str(value)
