"""Reading a sensor's own JSON line: into a struct at once where all fields fit, else field by field and leniently.

A format names a struct with every field it knows: those with a place in our records are typed, the others are ``Kept``
as they came. What no field of the struct takes goes to details as well, so nothing a sensor wrote is lost.
"""

from collections.abc import Callable, Collection
from typing import Generic, TypeVar

import msgspec

from producers.formats.decoded import Rejection
from producers.formats.json_object import (
    TEXT_REPLACED,
    Fields,
    fields_of,
    not_utf8,
    object_text,
    without_lone_surrogates,
)
from producers.formats.moments import EXPECTED as TIME_EXPECTED
from producers.formats.moments import micros_of
from producers.formats.reading import read_what_fits, readers_of
from schemas.dead_letters import Reason
from schemas.records import Event

#: A field that is not looked into, JSON text.
Kept = msgspec.Raw | msgspec.UnsetType

#: A field that has its place could not be read; it stays in details as it came.
FIELD_UNREAD = "field_unread"

_encode = msgspec.json.Encoder().encode

L = TypeVar("L", bound=msgspec.Struct)


class Read(msgspec.Struct, Generic[L], gc=False):
    """One line. ``fields`` is None where the struct took all of it; ``time`` is its moment, microseconds UTC."""

    line: L
    time: int
    fields: Fields | None = None
    unread: Collection[str] = ()
    repaired: bool = False


class LineReader(Generic[L]):
    """Reads lines as ``struct``, which forbids unknown fields. ``time`` names its one field that is a moment.

    ``placed`` are the names, as in JSON, of fields that leave details because records have a place for them, and
    ``required`` those without which there is no record; ``time`` is both. ``set_aside`` puts the placed fields of a
    line back to their defaults: what it then is in JSON are the details. (A loop over names would cost as much as all
    the rest of a line.)
    """

    def __init__(
        self,
        struct: type[L],
        time: str,
        placed: Collection[str],
        set_aside: Callable[[L], None],
        required: Collection[str] = (),
    ) -> None:
        self._struct = struct
        self._set_aside = set_aside
        self._time = time
        self._decode = msgspec.json.Decoder(struct).decode
        fields = msgspec.structs.fields(struct)
        self._attribute = {field.encode_name: field.name for field in fields}
        self._placed = frozenset(placed) | {time}
        self._required = frozenset(required) | {time}
        self._asked = tuple(self._attribute[name] for name in self._required)
        kept = {field.name for field in fields if field.default is msgspec.UNSET}
        self._kept = frozenset(field.encode_name for field in fields if field.name in kept)
        self._readers = readers_of(struct, without=kept)
        self._time_attribute = self._attribute[time]

    def read(self, value: bytes) -> Read[L] | Rejection:
        """One JSON object."""
        if not value.isascii() and (rejection := not_utf8(value)):
            return rejection
        try:
            line = self._decode(value)
        except (msgspec.DecodeError, RecursionError):
            return self._read_by_field(value)
        for name in self._asked:
            if not getattr(line, name):
                return self._read_by_field(value)
        try:
            return Read(line, micros_of(getattr(line, self._time_attribute)))
        except ValueError:
            return Rejection(Reason.BAD_TIME, self._time, TIME_EXPECTED)

    def read_fields(self, fields: Fields, repaired: bool = False) -> Read[L] | Rejection:
        """The same of an object that was taken apart already."""
        found = read_what_fits(fields, self._readers, self._required)
        if isinstance(found, Rejection):
            return found
        values, unread = found
        time = values.pop(self._time)
        for name in self._required:
            if values.get(name) == "":
                return Rejection(Reason.BAD_VALUE, name, "text that is not empty")
        for name in self._kept:
            raw = fields.get(name)
            if raw is not None:
                values[name] = raw
        line = self._struct(**{self._attribute[name]: each for name, each in values.items()})
        return Read(line, time, fields, unread, repaired)

    def finish(self, event: Event, read: Read[L], keep: Collection[str] = (), more: Fields | None = None) -> None:
        """Give the event its details: every field that has no place in the records, and ``keep`` in any case.

        Takes the line apart; call it last.
        """
        fields, line = read.fields, read.line
        if fields is None and not keep and not more:
            self._set_aside(line)
            event.details = msgspec.Raw(_encode(line))
            return
        if fields is None:
            named = msgspec.structs.asdict(line)
            fields = {
                name: each if isinstance(each, msgspec.Raw) else msgspec.Raw(_encode(each))
                for name, attribute in self._attribute.items()
                if (each := named[attribute]) is not msgspec.UNSET and each not in ("", None, 0)
            }
        placed = self._placed.difference(read.unread, keep)
        details = {name: raw for name, raw in fields.items() if name not in placed}
        if more:
            details.update(more)
        event.details = object_text(details)
        if read.unread:
            event.flags = [*event.flags, FIELD_UNREAD]
        if read.repaired:
            event.flags = [*event.flags, TEXT_REPLACED]

    def _read_by_field(self, value: bytes) -> Read[L] | Rejection:
        fields, repaired = fields_or_repaired(value)
        return fields if isinstance(fields, Rejection) else self.read_fields(fields, repaired)


def fields_or_repaired(value: bytes) -> tuple[Fields | Rejection, bool]:
    """The object's fields, with U+FFFD for escapes that are no character; whether there were any."""
    fields = fields_of(value)
    if isinstance(fields, Rejection) and (repaired := without_lone_surrogates(value)) is not None:
        again = fields_of(repaired)
        if not isinstance(again, Rejection):
            return again, True
    return fields, False


def text_of(fields: Fields, name: str) -> str:
    """A field that is text; "" for anything else."""
    raw = fields.get(name)
    if raw is None or not bytes(raw).startswith(b'"'):
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return ""
