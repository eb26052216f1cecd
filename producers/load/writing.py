"""Visits and stays as lines: our own records, or Cowrie's log. Each with its time, its topic and its session key."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from producers.load.devices import Stay
from producers.load.fates import Fate
from producers.load.visits import Visit
from schemas import topics


class Written(msgspec.Struct, gc=False):
    """A line, the topic and key it is published with, and when it is sent (microseconds UTC): at its own time, unless
    it is late or a second copy."""

    sent: int
    topic: str
    key: bytes
    line: bytes
    fate: Fate = Fate.WELL


_COWRIE = topics.native_topic("cowrie")


class Clock:
    """Times as RFC 3339 text with microseconds; the date of a second is made once for many records."""

    def __init__(self) -> None:
        self._seconds: dict[int, str] = {}

    def __call__(self, time: int) -> str:
        second, micros = divmod(time, 1_000_000)
        text = self._seconds.get(second)
        if text is None:
            if len(self._seconds) > 100_000:
                self._seconds.clear()
            text = self._seconds[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{text}{micros:06d}Z"


def sojourn_lines(visit: Visit, clock: Clock) -> list[Written]:
    """The records of a session as a sensor of ours writes them."""
    sensor = visit.sensor
    key = f'["{sensor.name}","{visit.session_id}"]'.encode()
    who = (
        f'"session_id":"{visit.session_id}","protocol":"{sensor.protocol}",'
        f'"client_ip":"{visit.client_ip}","client_port":{visit.client_port}'
    )
    where = f'"server_ip":"{sensor.ip}","server_port":{sensor.port}'
    begin = f'{{"sensor":"{sensor.name}","time":"'
    line = f'{begin}{clock(visit.began)}","action":"connect",{who},{where}}}'
    found = [Written(visit.began, topics.CONNECTIONS_IN, key, line.encode())]
    last = len(visit.logins) - 1 if visit.entered else -1
    for n, (time, user, password) in enumerate(visit.logins):
        kind = "login.success" if n == last else "login.failed"
        line = (
            f'{begin}{clock(time)}","kind":"{kind}",{who},"user":{user},"data":{user},'
            f'"details":{{"password":{password}}}}}'
        )
        found.append(Written(time, topics.EVENTS, key, line.encode()))
    for time, text in visit.commands:
        line = f'{begin}{clock(time)}","kind":"command",{who},"data":{text},"action":{text}}}'
        found.append(Written(time, topics.EVENTS, key, line.encode()))
    line = f'{begin}{clock(visit.ended)}","action":"disconnect",{who},{where}}}'
    found.append(Written(visit.ended, topics.CONNECTIONS_IN, key, line.encode()))
    return found


def cowrie_lines(visit: Visit, clock: Clock) -> list[Written]:
    """The records of a session as Cowrie logs them (sensor-formats: Cowrie, present generation)."""
    sensor = visit.sensor
    key = f'["{sensor.name}","{visit.session_id}"]'.encode()
    begin = (
        f'{{"session":"{visit.session_id}","protocol":"{sensor.protocol}","src_ip":"{visit.client_ip}",'
        f'"src_port":{visit.client_port},"dst_ip":"{sensor.ip}","dst_port":{sensor.port},'
    )
    end = f'"sensor":"{sensor.name}","uuid":"{sensor.token}","timestamp":"'

    def line(time: int, eventid: str, fields: str = "") -> Written:
        text = f'{begin}{fields}"eventid":"cowrie.{eventid}",{end}{clock(time)}","message":"{eventid}"}}'
        return Written(time, _COWRIE, key, text.encode())

    found = [line(visit.began, "session.connect")]
    last = len(visit.logins) - 1 if visit.entered else -1
    for n, (time, user, password) in enumerate(visit.logins):
        eventid = "login.success" if n == last else "login.failed"
        found.append(line(time, eventid, f'"username":{user},"password":{password},'))
    found += [line(time, "command.input", f'"input":{text},') for time, text in visit.commands]
    length = visit.ended - visit.began
    found.append(line(visit.ended, "session.closed", f'"duration":{length / 1_000_000:.6f},'))
    return found


def stay_lines(stay: Stay, clock: Clock) -> list[Written]:
    """The coming and going of a device, as a scan sees them."""
    key = f'["{stay.mac.replace(":", "")}"]'.encode()

    def line(time: int, action: str, kind: str) -> Written:
        text = (
            f'{{"sensor":"{stay.sensor}","time":"{clock(time)}","action":"{action}","mac":"{stay.mac}",'
            f'"client_ip":"{stay.ip}","kind":"{kind}"}}'
        )
        return Written(time, topics.CONNECTIONS_IN, key, text.encode())

    return [line(stay.began, "connect", "device.up"), line(stay.ended, "disconnect", "device.down")]


WRITERS: dict[str, Callable[[Visit, Clock], list[Written]]] = {"sojourn": sojourn_lines, "cowrie": cowrie_lines}
