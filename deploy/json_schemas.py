"""JSON Schema of the records, made from the structs: what sensors publish, and the session that comes of it."""

import json
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec

from schemas.records import Connection, Event, Session

#: Fields that the reader of a topic sets; from a sensor they are like any unknown field.
_SET_BY_READER = {Event: {"offset", "index", "connection"}, Connection: {"source", "positions"}, Session: set[str]()}
_FILES: dict[type[msgspec.Struct], str] = {
    Event: "event.json",
    Connection: "connection.json",
    Session: "session.json",
}
_TIMES = {"time", "started", "ended", "first_time", "last_time", "terminate_at"}
#: What a sensor may write where the record holds microseconds (producers.formats.moments).
_MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}
_MOMENT_NOTE = "RFC 3339 text (without a zone: UTC), or seconds since 1970"


def schema_of(record: type[msgspec.Struct]) -> dict[str, Any]:
    """One self-contained JSON Schema (2020-12): for events and connections what a sensor publishes."""
    schema = msgspec.json.schema(_describable(record))
    definitions = schema.get("$defs", {})
    body = definitions.pop(record.__name__)
    body["description"] = (record.__doc__ or "").split("\n")[0]
    if record is not Session:
        for described in (body, *definitions.values()):
            _describe_times(described.get("properties", {}))
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **body}
    if definitions:
        whole["$defs"] = definitions
    return whole


def _describe_times(properties: dict[str, Any]) -> None:
    for name in _TIMES & set(properties):
        said = properties[name].get("description", "").replace(", microseconds since 1970 UTC", "")
        said = said.replace("microseconds since 1970 UTC", "").strip(" ,")
        properties[name] = {**_MOMENT, "description": f"{said}; {_MOMENT_NOTE}" if said else _MOMENT_NOTE}


def _describable(record: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The same struct without what a reader sets, and with raw JSON typed as the object it is."""
    hints = get_type_hints(record, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(record):
        if field.name in _SET_BY_READER[record]:
            continue
        kind, default = hints[field.name], field.default
        if isinstance(default, msgspec.Raw):
            kind, default = Annotated[dict[str, Any], *get_args(kind)[1:]], {}
        if field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
        fields.append((field.name, kind) if default is msgspec.NODEFAULT else (field.name, kind, default))
    return msgspec.defstruct(record.__name__, fields, kw_only=True)


def rendered_schemas() -> dict[str, str]:
    """File name → text."""
    return {name: json.dumps(schema_of(record), indent=2, ensure_ascii=False) + "\n" for record, name in _FILES.items()}


def write_schemas(folder: Path) -> list[str]:
    """Writes them all; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in rendered_schemas().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(str(path))
    return written
