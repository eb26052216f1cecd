"""A generated load: the same for the same seed, with the shares that were asked for, and like the field."""

from collections import Counter

import msgspec
import pytest

from producers.destination import destination_of, readable
from producers.formats import Rejection
from producers.load.fates import Fate
from producers.load.generate import generate
from producers.load.mix import FORMATS, Mix, Tally, checked
from producers.load.visits import RECORDS_PER_SESSION
from producers.load.writing import Written
from schemas.records import Action, Connection
from schemas.times import SECOND

#: Late by a second at most, so little of it is cut off at the end.
FAULTY = {"losses": 0.04, "bad": 0.02, "duplicates": 0.03, "disorder": 0.1, "delay": 1.0}


def load(**values: object) -> tuple[list[Written], Tally]:
    tally = Tally()
    return [one for batch in generate(checked(**values), tally) for one in batch], tally


def text(lines: list[Written]) -> bytes:
    return b"\n".join(one.line for one in lines)


def connections(lines: list[Written], format_name: str = "sojourn") -> list[Connection]:
    found = []
    for one in lines:
        read = readable(format_name, one.line)
        assert not isinstance(read, Rejection)
        found += [record.connection for record in read.records if record.connection is not None]
    return found


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_same_seed_gives_the_same_lines_and_another_one_others(format_name: str) -> None:
    first, _ = load(seed=7, records=20_000, format=format_name, **FAULTY)
    again, _ = load(seed=7, records=20_000, format=format_name, **FAULTY)
    other, _ = load(seed=8, records=20_000, format=format_name, **FAULTY)
    assert len(first) == 20_000
    assert text(first) == text(again)
    assert not {one.key for one in first} & {one.key for one in other if b"load-" in one.key}


def test_a_longer_load_begins_like_a_shorter_one() -> None:
    short, _ = load(seed=7, records=5_001, **FAULTY)
    long, _ = load(seed=7, records=9_000, **FAULTY)
    assert text(long[:5_001]) == text(short)


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_shares_are_those_that_were_asked_for_and_the_tally_is_exact(format_name: str) -> None:
    lines, tally = load(seed=3, records=60_000, format=format_name, **FAULTY)
    shares = (tally.lost, tally.bad, tally.doubled, tally.late)
    asked = [FAULTY[name] for name in ("losses", "bad", "duplicates", "disorder")]
    for found, share in zip(shares, asked, strict=True):
        assert found / tally.made == pytest.approx(share, rel=0.08)
    assert tally.written == len(lines) == tally.made - tally.lost + tally.doubled
    fates = Counter(one.fate for one in lines)
    assert (fates[Fate.BAD], fates[Fate.DOUBLE], fates[Fate.LATE]) == (tally.bad, tally.doubled, tally.late)
    assert len(lines) - len({one.line for one in lines if one.fate is not Fate.BAD}) == tally.doubled + tally.bad


@pytest.mark.parametrize("format_name", FORMATS)
def test_damaged_lines_and_no_others_are_refused_by_the_decoder(format_name: str) -> None:
    lines, tally = load(seed=5, records=20_000, format=format_name, **{**FAULTY, "bad": 0.2})
    refused = 0
    reasons = set()
    for one in lines:
        found = destination_of(format_name, one.line)
        if isinstance(found, Rejection):
            assert one.fate is Fate.BAD, one.line
            refused += 1
            reasons.add(found.reason)
        else:
            assert (found.topic, found.key) == (one.topic, one.key)
    assert refused == tally.bad > 1_000
    assert len(reasons) >= 4


def test_lines_come_in_their_order_unless_they_are_late() -> None:
    for share in (0.0, 0.1):
        lines, _ = load(seed=2, records=20_000, disorder=share)
        times = [record.time for record in connections(lines, "sojourn")]
        assert (times == sorted(times)) == (share == 0.0)
        assert [one.sent for one in lines] == sorted(one.sent for one in lines)


@pytest.mark.parametrize("format_name", FORMATS)
def test_sessions_are_dense_as_asked_and_their_ids_their_own(format_name: str) -> None:
    lines, tally = load(seed=1, records=100_000, density=200.0, devices=0, format=format_name)
    assert tally.written / tally.seconds == pytest.approx(200, rel=0.05)
    assert tally.made / tally.sessions == pytest.approx(RECORDS_PER_SESSION, rel=0.05)
    connects = [one for one in connections(lines, format_name) if one.action is Action.CONNECT]
    assert len({one.session_id for one in connects}) == len(connects) == tally.sessions


def test_few_attackers_make_most_sessions_and_durations_are_log_normal() -> None:
    lines, _ = load(seed=1, records=50_000, density=100.0, devices=0)
    began: dict[str, Connection] = {}
    lengths = []
    for one in connections(lines):
        if one.action is Action.CONNECT:
            began[one.session_id] = one
        elif one.action is Action.DISCONNECT:
            lengths.append((one.time - began[one.session_id].time) / SECOND)
    by_attacker = sorted(Counter(one.client_ip for one in began.values()).values(), reverse=True)
    assert sum(by_attacker[: len(by_attacker) // 5]) > 0.6 * len(began)
    lengths.sort()
    median = lengths[len(lengths) // 2]
    assert 7 < median < 11
    assert sum(lengths) / len(lengths) > 2 * median, "a long tail"


def test_devices_come_in_the_morning_and_go_in_the_evening_of_most_days() -> None:
    lines, tally = load(seed=1, records=3_000, density=0.005, devices=50)
    assert tally.seconds > 5 * 86_400
    seen = [one for one in connections(lines) if one.mac]
    came = [one for one in seen if one.action is Action.CONNECT]
    days = int(tally.seconds / 86_400)
    assert 0.75 * 50 * days < len(came) < 0.95 * 50 * (days + 1)
    hours = sorted(one.time % (86_400 * SECOND) / (3_600 * SECOND) for one in came)
    assert 7.5 < hours[len(hours) // 2] < 9.5
    gone = sum(one.action is Action.DISCONNECT for one in seen)
    assert len(came) - 50 <= gone <= len(came)


def test_cowrie_sees_no_devices_and_no_records_is_none() -> None:
    lines, tally = load(records=2_000, density=0.001, format="cowrie")
    assert not any(b"mac" in one.line for one in lines)
    assert tally.sessions > 0
    assert load(records=0)[0] == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"format": "zeek"}, "format zeek: sojourn or cowrie was expected"),
        ({"losses": 0.6, "bad": 0.5}, "more than 1 together"),
        ({"losses": 1.0}, "nothing would be written"),
        ({"density": 0.0}, "density"),
        ({"sensors": 0}, "sensors"),
        ({"prefix": 'a"b'}, "prefix"),
        ({"bad": -0.1}, "bad"),
    ],
)
def test_what_cannot_be_generated_is_refused_by_name(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked(**values)


def test_nothing_but_the_mix_decides() -> None:
    assert msgspec.structs.asdict(checked()) == msgspec.structs.asdict(Mix())
