"""Which letters can be replayed, and with which headers."""

import msgspec
import pytest

from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.records import Action, Connection
from schemas.topics import CONNECTIONS, CONNECTIONS_IN, EVENTS, SESSIONS
from stream_processors.dead_letters.replaying import judge

GOOD = b'{"sensor":"s","time":1795000000,"kind":"command"}'


def letter(value: bytes | None = GOOD, **fields: object) -> DeadLetter:
    plain = DeadLetter(
        stage=Stage.ROUTE,
        reason=Reason.NOT_JSON,
        topic=EVENTS,
        partition=2,
        offset=7,
        epoch="e1",
        key=b"k",
        value=value,
        headers=[("origin", b"x")],
    )
    return msgspec.structs.replace(plain, **fields)


def test_what_decodes_now_is_replayed_under_the_id_of_its_first_place() -> None:
    verdict = judge(letter())
    assert verdict.obstacle == ""
    assert list(verdict.headers) == [("origin", b"x"), ("record_id", b"e1/sensor.events/2/7")]


def test_the_id_that_the_sensor_gave_stays() -> None:
    named = b'{"sensor":"s","time":1795000000,"kind":"command","record_id":"mine"}'
    assert list(judge(letter(named)).headers) == [("origin", b"x")]
    given = [("record_id", b"r1")]
    assert list(judge(letter(headers=given)).headers) == given


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (letter(None, reason=Reason.HOLE), "hole"),
        (letter(GOOD, cut=True), "beginning"),
        (letter(None), "no value"),
        (letter(b"{broken"), "still refused"),
        (letter(stage=Stage.SINK, reason=Reason.REFUSED_BY_STORE), "the worker has used"),
        (letter(topic=SESSIONS), "no topic that sensors write"),
        (letter(topic="somebody.elses"), "no topic that sensors write"),
        (letter(topic=CONNECTIONS, stage=Stage.SESSIONIZE), "still refused"),
        (letter(topic=CONNECTIONS, stage=Stage.SESSIONIZE, key=None), "no message with a key"),
    ],
)
def test_what_cannot_be_replayed_says_why(refused: DeadLetter, why: str) -> None:
    assert why in judge(refused).obstacle


def test_a_connection_record_that_decodes_now_is_replayed_as_it_was() -> None:
    value = msgspec.json.encode(Connection(action=Action.CONNECT, sensor="s", time=1, session_id="a"))
    verdict = judge(letter(value, topic=CONNECTIONS, stage=Stage.SESSIONIZE))
    assert verdict.obstacle == ""
    assert list(verdict.headers) == [("origin", b"x")]


def test_every_topic_of_sensors_has_a_decoder_here() -> None:
    for_connections = letter(b'{"action":"connect","sensor":"s","session_id":"a","time":1}', topic=CONNECTIONS_IN)
    assert judge(for_connections).obstacle == ""
    assert "still refused" in judge(letter(b"{", topic="sensor.native.cowrie")).obstacle
