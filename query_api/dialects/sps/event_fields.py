"""The properties of the events of a session (sps-session-events.txt), and of the content of all sessions."""

from query_api.dialects.sps.fields import Catalogue, Field, Kind, catalogue, moment

#: Type of an event by its kind; kinds that are no type of SPS are not among its events.
TYPES = {
    "command": "command",
    "download": "file_transfer",
    "upload": "file_transfer",
    "file_transfer": "file_transfer",
    "http_request": "http_request",
    "terminal": "screen.content",
    "window_title": "window_title",
}
_KINDS = ", ".join(f"'{kind}'" for kind in TYPES)
#: Events that SPS has a type for; that a terminal was closed is none of its content.
EXTRACTED = f"kind IN ({_KINDS}) AND (kind != 'terminal' OR content != '')"
TYPE = "multiIf(" + ", ".join(f"kind = '{kind}', '{type}'" for kind, type in TYPES.items()) + ", kind)"
#: The document names window titles in two ways; a query may use either.
_WINDOW_TITLE = f"replaceOne({TYPE}, 'window_title', 'screen.windowtitle')"

#: What happened with its context; sensors that know none say it in data.
CONTENT = "if(content != '', content, data)"
#: The command without its prompt, else the same.
ACTION = "if(action != '', action, data)"

EVENT = catalogue(
    [
        Field(name="action", kind=Kind.TEXT, expression=ACTION),
        Field(name="channels_id", kind=Kind.INT, expression="toInt64OrZero(channel)"),
        Field(name="content", kind=Kind.TEXT, expression=CONTENT),
        Field(name="record_id", kind=Kind.INT, expression="number"),
        Field(name="time", kind=Kind.TIME, expression=moment("time"), moment="time"),
        Field(name="type", kind=Kind.KEYWORD, expression=TYPE, synonym=_WINDOW_TITLE),
    ],
    plain=("content",),
)

#: What is found in the content of a session: all of it, its commands, its window titles (sps-facts 1.6).
_CONTENT = {
    "content": f"if({EXTRACTED}, {CONTENT}, '')",
    "command": f"if(kind = 'command', {CONTENT}, '')",
    "title": f"if(kind = 'window_title', {CONTENT}, '')",
}
#: Sessions that have an event of which something holds.
_HAS_EVENT = (
    "(sensor, session_id) IN (SELECT sensor, session_id FROM events"  # noqa: S608 - our kinds
    f" WHERE session_id != ''{{bounds}} AND kind IN ({_KINDS}) AND {{}})"
)
#: Each term is a search through the events of its own.
_SEARCHES = 10

CONTENT_OF_EVENTS = catalogue(
    [Field(name=name, kind=Kind.TEXT, expression=text) for name, text in _CONTENT.items()], plain=("content",)
)


def content_of_sessions(bounds: str) -> Catalogue:
    """``bounds``: conditions on the events that are looked at, each with its AND before it."""
    around = _HAS_EVENT.replace("{bounds}", bounds.replace("{", "{{").replace("}", "}}"))
    fields = [Field(name=name, kind=Kind.TEXT, expression=text, around=around) for name, text in _CONTENT.items()]
    return catalogue(fields, plain=("content",), terms=_SEARCHES)
