"""Lines that a sensor hands in over HTTP: each is published or refused, and whoever sent it is told which. No I/O."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from producers.destination import readable
from producers.formats import Decoded, Rejection
from producers.inputs.lines import Line
from producers.record_ids import IMPORT_HEADER, RecordIds
from query_api.auth.principal import Principal
from schemas.dead_letters import Reason
from schemas.records import Action
from schemas.scopes import Scope

if TYPE_CHECKING:
    # The API listens before the Kafka client is loaded.
    from producers.kafka.publisher import Item

#: The reason for a line that can be decoded and may not be sent by this principal; all others are Reasons.
FORBIDDEN = "forbidden"
_WRITES = frozenset({Action.AMEND, Action.REMOVE})


class IngestRefused(msgspec.Struct, frozen=True):
    """One line that was not published."""

    line: Annotated[int, Meta(ge=1, description="Its number in the body, blank lines counted")]
    reason: Annotated[str, Meta(description="not_json, missing_field … (docs/formats), or forbidden")]
    field: Annotated[str, Meta(description="Empty when the whole line is wrong")]
    expected: str


class Batch:
    """What the lines of one body come to; ``take`` them in their order.

    A line gets an id that the same line has again when the body is sent again (producers.record_ids). With a ``name``
    for the body it is made of principal, format, name, the line's number and its text, else as `sojourn produce` makes
    it: of sensor, text, and how many equal lines came before in this body. The text is in both, so a line that was
    corrected under the same name is another one.
    """

    def __init__(self, format_name: str, principal: Principal, name: str | None, longest: int) -> None:
        """``longest``: bytes that Kafka takes as one message."""
        self._format = format_name
        self._principal = principal
        self._salt = None if name is None else msgspec.json.encode((principal.name, format_name, name))
        self._longest = longest
        self._ids = RecordIds()
        #: Lines that are not blank.
        self.lines = 0
        self.messages: list[tuple[str, Item]] = []
        self.refused: list[IngestRefused] = []

    def take(self, line: Line) -> None:
        """Publish or refuse one line."""
        value = line.value
        if value is None:
            self.lines += 1
            self._refuse(line, self._too_large(line.size))
            return
        if not value.strip():
            return
        self.lines += 1
        found = readable(self._format, value)
        if isinstance(found, Rejection):
            self._refuse(line, found)
            return
        forbidden = self._forbidden(found.records)
        if forbidden is not None:
            self.refused.append(IngestRefused(line.number, FORBIDDEN, *forbidden))
            return
        destination = found.destination
        record_id = self._record_id(line.number, value, destination.sensor)
        # Equal ids must meet in one partition, so a record that names no connection is keyed by its id.
        key = destination.key or record_id
        if len(key) + len(value) > self._longest:
            self._refuse(line, self._too_large(len(key) + len(value), " with its session's key"))
            return
        self.messages.append((found.topic, (key, value, (("record_id", record_id), IMPORT_HEADER))))

    def _record_id(self, number: int, value: bytes, sensor: str) -> bytes:
        if self._salt is None:
            return self._ids.next(sensor, value).encode()
        return blake2b(b"%s\0%d\0%s" % (self._salt, number, value), digest_size=16).hexdigest().encode()

    def _forbidden(self, records: list[Decoded]) -> tuple[str, str] | None:
        """Field and what was expected of the first record that this principal may not send."""
        for record in records:
            if not self._principal.sees(record.event.sensor):
                return "sensor", f"a sensor that {self._principal.name} may write for"
            connection = record.connection
            if connection is None or connection.action not in _WRITES:
                continue
            # What an API does to a session; by its device even to those of other sensors.
            if not self._principal.may(Scope.WRITE) or self._principal.sensors is not None:
                return "action", "what a sensor saw; amend and remove need the scope write, for every sensor"
        return None

    def _too_large(self, size: int, what: str = "") -> Rejection:
        return Rejection(Reason.TOO_LARGE, expected=f"at most {self._longest} bytes{what}; the line has {size}")

    def _refuse(self, line: Line, why: Rejection) -> None:
        self.refused.append(IngestRefused(line.number, str(why.reason), why.field, why.expected))
