"""The quick way gives what the decoder gives."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from producers.formats import DECODERS, Rejection, Source, decode
from schemas.records import Event
from stream_processors.sink.quick_events import read_events

SOURCE = Source("epoch", "sensor.events", 2)
TWO = b'{"sensor":"a","time":1}\n{"sensor":"b","time":2}'
BROKER_MS = 1_795_000_000_000


class Message(msgspec.Struct, frozen=True):
    offset: int
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = None
    timestamp: int = BROKER_MS


def by_the_decoder(messages: list[Message]) -> list[Event]:
    """With the default record_id empty, as the quick way leaves it."""
    events = []
    for message in messages:
        header = message.headers[0][1].decode() if message.headers else ""
        decoded = decode(
            DECODERS["sojourn.event"], message.value, message.offset, message.timestamp * 1000, SOURCE, header
        )
        if not isinstance(decoded, Rejection):
            events += [record.event for record in decoded]
    return events


def as_stored(event: Event) -> list[object]:
    if not event.record_id:
        event.record_id = f"{SOURCE.text}/{event.offset}/{event.index}"
    values = [getattr(event, field.name) for field in msgspec.structs.fields(Event)]
    return [bytes(value) if isinstance(value, msgspec.Raw) else value for value in values]


texts = st.text(max_size=8) | st.sampled_from(["ssh", "SSH", "connect", "login.failed", "LOGIN.Failed", ""])
times: st.SearchStrategy[Any] = (
    st.integers(-(10**13), 10**13)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [1_795_000_000, 1_795_000_000.25, "2026-11-22T01:02:03Z", "2026-11-22 01:02:03.5", "2026-11-22", "soon", None]
    )
)
fields = st.fixed_dictionaries(
    {"sensor": st.sampled_from(["a", "b"]) | texts, "time": times},
    optional={
        "kind": texts,
        "protocol": texts,
        "type": st.integers(-1, 60),
        "started": times,
        "client_port": st.integers(0, 70_000),
        "details": st.dictionaries(texts, st.integers(), max_size=2) | st.just([1]) | st.just("text"),
        "flags": st.lists(texts, max_size=2),
        "record_id": texts,
        "offset": st.integers(0, 3),
        "index": st.integers(0, 3),
        "unknown": st.integers(),
    },
)
plain = st.fixed_dictionaries({"sensor": st.just("s"), "time": st.integers(0, 10**9), "data": texts})
values = (
    (plain | plain | fields).map(msgspec.json.encode)
    | st.sampled_from([b"", b"{", b"[]", b'{"sensor":"a",\n"time":1}', TWO])
    | st.none()
)
headers = st.just(()) | st.just(()) | st.sampled_from([(("record_id", b"h"),), (("other", b"x"),)])


@given(st.lists(st.tuples(values, headers), max_size=12))
def test_the_quick_way_gives_the_same_events(found: list[tuple[bytes | None, tuple[tuple[str, bytes], ...]]]) -> None:
    messages = [
        Message(100 + number, value, header if header and header[0][0] == "record_id" else ())
        for number, (value, header) in enumerate(found)
    ]
    events, offsets = read_events(messages, SOURCE)
    assert [as_stored(event) for event in events] == [as_stored(event) for event in by_the_decoder(messages)]
    assert offsets == [event.offset for event in events]


def test_plain_events_really_go_the_quick_way() -> None:
    messages = [Message(n, msgspec.json.encode({"sensor": "s", "time": n, "kind": "command"})) for n in range(5)]
    events, offsets = read_events(messages, SOURCE)
    assert offsets == [0, 1, 2, 3, 4]
    assert {event.record_id for event in events} == {""}


def test_an_empty_message_beside_one_with_two_lines_shifts_nothing() -> None:
    events, offsets = read_events([Message(0, b""), Message(1, TWO), Message(2, b'{"sensor":"c","time":3}')], SOURCE)
    assert [(event.sensor, event.offset) for event in events] == [("c", 2)]
    assert offsets == [2]
