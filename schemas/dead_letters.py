"""A record that could not be used, with everything needed to look at it and to try again."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class Reason(StrEnum):
    """Why a record was refused; a closed list, each names a field where there is one."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NOT_UTF8 = "not_utf8"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_TIME = "bad_time"
    BAD_VALUE = "bad_value"
    TOO_LARGE = "too_large"
    HOLE = "hole"
    REFUSED_BY_STORE = "refused_by_store"


class Stage(StrEnum):
    ROUTE = "route"
    SESSIONIZE = "sessionize"
    SINK = "sink"
    BACKUP = "backup"


class DeadLetter(msgspec.Struct, kw_only=True):
    """One message on ``dead-letters``; ``value`` and ``key`` are the original bytes (base64 in JSON)."""

    stage: Stage
    reason: Reason
    field: Annotated[str, Meta(description="Field that was wrong, empty when the whole record was")] = ""
    expected: Annotated[str, Meta(description="What was expected instead")] = ""
    topic: str
    partition: int
    offset: int
    epoch: str
    time: Annotated[int, Meta(description="Broker time of the record, microseconds UTC")] = 0
    key: bytes | None = None
    value: bytes | None = None
    cut: Annotated[bool, Meta(description="The record was longer: value is only its beginning")] = False
    headers: list[tuple[str, bytes]] = []

    def message_key(self) -> bytes:
        """Readers count distinct keys: a stage that repeats itself after a crash adds nothing."""
        return f"{self.epoch}/{self.topic}/{self.partition}/{self.offset}/{self.stage}".encode()
