"""Every Kafka topic Sojourn knows: its key, partitions, retention and compaction."""

from enum import StrEnum

import msgspec

DAY_MS = 86_400_000

EVENTS = "sensor.events"
CONNECTIONS_IN = "sensor.connections"
NATIVE_PREFIX = "sensor.native."
CONNECTIONS = "connections"
SESSIONS = "sessions"
BACKUPS = "backups"
DEAD_LETTERS = "dead-letters"
EPOCHS = "sojourn.epochs"
HEALTH = "sojourn.health"

#: Formats with a topic of their own; ``producers.formats`` has a decoder for each.
NATIVE_FORMATS = ("cowrie", "honeytrap", "netalertx", "sshd", "suricata", "teleport", "zeek")


class Keyed(StrEnum):
    """What the messages of a topic are keyed by."""

    SESSION_KEY = "session key"
    SESSION_ID = "(sensor, session id)"
    SOURCE_POSITION = "source position and stage"
    TOPIC = "topic name"
    COMPONENT = "component and instance"


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic. ``partitions`` 0 means the setting ``kafka.partitions``: all keyed topics have equally many."""

    name: str
    key: Keyed
    help: str
    partitions: int = 0
    retention_ms: int = -1
    compacted: bool = False

    def config(self) -> dict[str, str]:
        """Topic configuration as Apache Kafka names it."""
        if self.compacted:
            return {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


def native_topic(format_name: str) -> str:
    """The topic a sensor publishes its own format to."""
    return NATIVE_PREFIX + format_name


def sensor_topics() -> list[Topic]:
    """What sensors publish to: our own records and every native format."""
    week = 7 * DAY_MS
    ours = [
        Topic(name=EVENTS, key=Keyed.SESSION_KEY, retention_ms=week, help="Event records as JSON"),
        Topic(name=CONNECTIONS_IN, key=Keyed.SESSION_KEY, retention_ms=week, help="Connection records as JSON"),
    ]
    native = [
        Topic(name=native_topic(name), key=Keyed.SESSION_KEY, retention_ms=week, help=f"{name}'s own format")
        for name in NATIVE_FORMATS
    ]
    return ours + native


def all_topics() -> list[Topic]:
    """Every topic, in the order a record meets them."""
    return [
        *sensor_topics(),
        Topic(
            name=CONNECTIONS,
            key=Keyed.SESSION_KEY,
            retention_ms=7 * DAY_MS,
            help="Connection records, routed: what the session machine reads",
        ),
        Topic(name=SESSIONS, key=Keyed.SESSION_ID, compacted=True, help="Every version of every session"),
        Topic(
            name=BACKUPS,
            key=Keyed.SESSION_ID,
            partitions=1,
            retention_ms=30 * DAY_MS,
            help="Sessions to be exported to a backup target",
        ),
        Topic(
            name=DEAD_LETTERS,
            key=Keyed.SOURCE_POSITION,
            partitions=1,
            retention_ms=30 * DAY_MS,
            help="Records that could not be decoded or stored, with reason and original bytes",
        ),
        Topic(
            name=EPOCHS, key=Keyed.TOPIC, partitions=1, compacted=True, help="Which life of each topic's log this is"
        ),
        Topic(name=HEALTH, key=Keyed.COMPONENT, partitions=1, compacted=True, help="Heartbeats of worker and sink"),
    ]


def format_of(topic: str) -> str | None:
    """The decoder's name for a sensor topic, None for topics that sensors do not write."""
    if topic == EVENTS:
        return "sojourn.event"
    if topic == CONNECTIONS_IN:
        return "sojourn.connection"
    if topic.startswith(NATIVE_PREFIX):
        return topic.removeprefix(NATIVE_PREFIX)
    return None
