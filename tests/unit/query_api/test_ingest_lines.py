"""Lines over HTTP: which are published under which id, which are refused and why."""

import json

import pytest

from producers.destination import destination_of
from producers.formats import Rejection
from producers.inputs.lines import Line
from producers.record_ids import IMPORT_HEADER, RecordIds
from query_api.auth.principal import ANYBODY, Principal
from query_api.ingest_lines import Batch, IngestRefused
from schemas.scopes import Scope

LONGEST = 2_000
EVENT = b'{"sensor":"a","time":1,"session_id":"s"}'
SENSOR = Principal("box", frozenset({Scope.INGEST}), "a", "token")


def taken(
    *values: bytes, principal: Principal = ANYBODY, name: str | None = None, format_name: str = "sojourn"
) -> Batch:
    batch = Batch(format_name, principal, name, LONGEST)
    for number, value in enumerate(values, 1):
        batch.take(Line(number, len(value), value))
    return batch


def ids(batch: Batch) -> list[bytes]:
    found = [dict(headers) for _, (_, _, headers) in batch.messages]
    assert all(headers[IMPORT_HEADER[0]] == IMPORT_HEADER[1] for headers in found)
    return [headers["record_id"] for headers in found]


def test_a_line_is_published_as_produce_publishes_it() -> None:
    batch = taken(EVENT, b"", b"  ", EVENT)
    destination = destination_of("sojourn", EVENT)
    assert not isinstance(destination, Rejection)
    assert [(topic, key, value) for topic, (key, value, _) in batch.messages] == [
        (destination.topic, destination.key, EVENT)
    ] * 2
    expected = RecordIds()
    assert ids(batch) == [expected.next("a", EVENT).encode(), expected.next("a", EVENT).encode()]
    assert (batch.lines, batch.refused) == (2, [])


def test_a_line_without_connection_is_keyed_by_its_id() -> None:
    batch = taken(b'{"sensor":"a","time":1}')
    assert [key for _, (key, _, _) in batch.messages] == ids(batch)


def test_the_same_body_has_the_same_ids_and_two_equal_lines_have_two() -> None:
    for name in (None, "first"):
        assert ids(taken(EVENT, EVENT, name=name)) == ids(taken(EVENT, EVENT, name=name))
        assert len(set(ids(taken(EVENT, EVENT, name=name)))) == 2


def test_without_a_name_a_line_is_the_same_in_whichever_body() -> None:
    assert ids(taken(EVENT)) == ids(taken(b'{"sensor":"a","time":2}', EVENT))[1:]


def test_a_name_makes_equal_lines_of_two_bodies_two_and_a_corrected_line_another() -> None:
    one = ids(taken(EVENT, name="first"))
    assert one != ids(taken(EVENT, name="second"))
    assert one != ids(taken(EVENT, name="first", principal=SENSOR))
    assert one != ids(taken(EVENT, name="first", format_name="sojourn.event"))
    other = EVENT.replace(b'"s"', b'"t"')
    assert ids(taken(EVENT, other, name="first")) == one + ids(taken(b"x", other, name="first"))
    assert one != ids(taken(other, name="first"))


def test_what_cannot_be_decoded_is_named_by_line_and_field_and_the_rest_is_published() -> None:
    batch = taken(b'{"sensor":"a"}', EVENT, b"nonsense", b'{"sensor":"a","time":"soon"}', b"\xff")
    assert len(batch.messages) == 1
    assert batch.lines == 5
    found = [(one.line, one.reason, one.field) for one in batch.refused]
    assert found == [(1, "missing_field", "time"), (3, "not_json", ""), (4, "bad_time", "time"), (5, "not_utf8", "")]
    assert all(one.expected for one in batch.refused)


def test_what_is_too_long_for_one_message_is_refused_with_its_size() -> None:
    batch = taken(format_name="sojourn.event")
    batch.take(Line(1, 3_000, None))
    long = json.dumps({"sensor": "a", "time": 1, "session_id": "s" * 1_500}).encode()
    assert len(long) < LONGEST
    batch.take(Line(2, len(long), long))
    assert batch.messages == []
    assert [(one.line, one.reason) for one in batch.refused] == [(1, "too_large"), (2, "too_large")]
    assert batch.refused[0].expected == "at most 2000 bytes; the line has 3000"
    assert "with its session's key" in batch.refused[1].expected


def test_a_credential_of_one_sensor_hands_in_that_sensors_records_only() -> None:
    batch = taken(EVENT, EVENT.replace(b'"a"', b'"ab"'), principal=SENSOR)
    assert len(batch.messages) == 1
    assert batch.refused == [IngestRefused(2, "forbidden", "sensor", "a sensor that box may write for")]


@pytest.mark.parametrize(
    "line",
    [
        b'{"action":"remove","sensor":"a","time":1,"mac":"00:11:22:33:44:55"}',
        b'{"action":"amend","sensor":"a","time":1,"session_id":"s","amend":{"paused":true}}',
    ],
)
def test_changes_of_sessions_need_the_right_to_write_for_every_sensor(line: bytes) -> None:
    refused = Principal("box", frozenset({Scope.INGEST}))
    restricted = Principal("editor", frozenset({Scope.INGEST, Scope.WRITE}), "a")
    for principal in (refused, restricted):
        batch = taken(line, principal=principal)
        assert [(one.reason, one.field) for one in batch.refused] == [("forbidden", "action")]
        assert batch.messages == []
    allowed = Principal("editor", frozenset({Scope.INGEST, Scope.WRITE}))
    assert len(taken(line, principal=allowed).messages) == 1
