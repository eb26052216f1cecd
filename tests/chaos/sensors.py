"""The sensors of the oracle, in several formats. What their records mean is the input of the reference."""

from collections.abc import Callable, Iterator

import msgspec

from schemas import topics
from schemas.records import Action, Connection, Event, session_key
from schemas.times import HOUR, SECOND, rfc3339
from tests.chaos.sensor import Sensor, Sent, event_value

_encode = msgspec.json.Encoder().encode


class Cowrie(Sensor):
    """A honeypot's native log, all of it in one partition, its time running forty times as fast as the clock."""

    speed = 40.0
    rate = 20.0

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        random = self.random
        session_id, protocol = f"{self.name}-{number}", random.choice(("ssh", "ssh", "telnet", "rdp"))
        who = {"client_ip": f"198.51.100.{number % 250}", "client_port": 1024 + number % 50_000, "protocol": protocol}
        where = {"server_ip": "192.0.2.22", "server_port": 2222, "token": "life-1", "category": protocol}

        def line(time: int, eventid: str, action: Action, user: str = "", **more: object) -> tuple[int, Sent]:
            says = Connection(action=action, sensor=self.name, time=time, session_id=session_id, **who, **where)
            if user:
                says.user, says.attributes = user, {"login": eventid.rpartition(".")[2]}
                more["username"] = user
            body = {
                "eventid": eventid,
                "sensor": self.name,
                "uuid": "life-1",
                "session": session_id,
                "timestamp": rfc3339(time),
                "protocol": protocol,
                "src_ip": says.client_ip,
                "src_port": says.client_port,
                "dst_ip": says.server_ip,
                "dst_port": says.server_port,
                "message": f"{eventid} of {session_id}",
                **more,
            }
            return time, Sent(topics.native_topic("cowrie"), self.name.encode(), _encode(body), says)

        fate = random.random()
        # What nothing opens is remembered for a grace only.
        lasts = self._lasts() if fate > 0.03 else 30.0
        end = start + round(lasts * SECOND)
        if fate > 0.03:
            yield line(start, "cowrie.session.connect", Action.CONNECT)
        # A login is a fact about the session; signs of life are its events.
        for time in self._moments(start, lasts, 2):
            outcome, user = random.choice(("failed", "success")), random.choice(("root", "admin", "pi"))
            yield line(time, f"cowrie.login.{outcome}", Action.ANNOTATE, user)
        for time in self._moments(start, lasts, 8):
            yield line(time, "cowrie.command.input", Action.ACTIVITY, input="uname -a")
        if fate < 0.8:
            yield line(end, "cowrie.session.closed", Action.DISCONNECT, duration=lasts)


class Zeek(Sensor):
    """Finished connections in one record, and other logs that open the session before that."""

    speed = 10.0
    rate = 16.0

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        uid, lasts = f"C{self.name}{number}", min(self._lasts(), 300.0)
        end = start + round(lasts * SECOND)
        ends = {"id.orig_h": "203.0.113.9", "id.orig_p": 1024 + number % 60_000, "id.resp_h": "192.0.2.9"}

        def says(action: Action, time: int, **more: object) -> Connection:
            fields = {"client_ip": "203.0.113.9", "client_port": ends["id.orig_p"], "server_ip": "192.0.2.9"}
            return Connection(
                action=action, sensor=self.name, time=time, session_id=uid, server_port=80, **fields, **more
            )

        def line(time: int, connection: Connection, **more: object) -> tuple[int, Sent]:
            body = {"ts": time / SECOND, "uid": uid, **ends, "id.resp_p": 80, "sensor": self.name, **more}
            return time, Sent(topics.native_topic("zeek"), uid.encode(), _encode(body), connection)

        for time in self._moments(start, lasts, 2):
            yield line(time, says(Action.ACTIVITY, time, opens=True), _path="http", user_agent="curl")
        if self.random.random() < 0.9:
            whole = says(
                Action.COMPLETE,
                start,
                started=start,
                ended=end,
                protocol="tcp",
                category="conn",
                attributes={"conn_state": "SF"},
            )
            # Zeek writes it when the connection is over.
            _, sent = line(start, whole, _path="conn", proto="tcp", duration=(end - start) / SECOND, conn_state="SF")
            yield end, sent


class Devices(Sensor):
    """NetAlertX: a few MACs that come and go, sometimes twice without leaving."""

    speed = 2.0
    rate = 8.0
    late = False

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        mac = f"02:00:00:00:{self.random.randrange(3):02x}:{self.random.randrange(16):02X}"
        opening = self.random.choice(("Connected", "Connected", "New Device", "Down Reconnected"))
        closing = self.random.choice(("Disconnected", "Device Down", ""))
        # NetAlertX counts in whole seconds, so that its times collide: openings and ends on even ones.
        start = (start // (2 * SECOND) + 1) * 2 * SECOND
        yield self._row(mac, opening, start, Action.CONNECT)
        for _ in range(self.random.randint(0, 2)):
            yield self._row(mac, "IP Changed", start + (2 * self.random.randrange(20) + 1) * SECOND, Action.ACTIVITY)
        if closing:
            yield self._row(mac, closing, start + 2 * self.random.randrange(20) * SECOND, Action.DISCONNECT)

    def _row(self, mac: str, kind: str, time: int, action: Action) -> tuple[int, Sent]:
        says = Connection(action=action, sensor=self.name, time=time, mac=mac, client_ip="10.0.0.7")
        if action is Action.ACTIVITY:
            says.category = "device"
        else:
            says.kind = kind
        body = {
            "eve_MAC": mac,
            "eve_IP": "10.0.0.7",
            "eve_DateTime": rfc3339(time)[:19].replace("T", " "),
            "eve_EventType": kind,
            "eve_AdditionalInfo": "",
            "sensor": self.name,
        }
        return time, Sent(topics.native_topic("netalertx"), session_key(says), _encode(body), says)


class Door(Sensor):
    """Our own records with ids, over two topics: what happens to a session comes another way than its ends."""

    rate = 16.0

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        protocol = self.random.choice(("ssh", "tcp", "udp", "rdp"))
        one = {"sensor": self.name, "session_id": f"{self.name}-{number}", "protocol": protocol}
        one |= {"client_ip": "203.0.113.5", "client_port": 5000 + number % 50_000, "server_ip": "192.0.2.1"}
        fate = self.random.random()
        lasts = (
            self.random.choice((0.2, 2.0, 10.0, 30.0, 90.0)) * self.random.uniform(0.5, 1.5) if fate > 0.03 else 30.0
        )
        if fate > 0.03:
            yield start, _ours(Connection(action=Action.CONNECT, time=start, kind="opened", **one))
        for time in self._moments(start, lasts, 6):
            says = Connection(action=Action.ACTIVITY, time=time, **one)
            event = Event(time=time, kind="command", data="ls", **one)
            yield time, Sent(topics.EVENTS, session_key(says), event_value(event), says)
        if fate < 0.85:
            end = start + round(lasts * SECOND)
            yield end, _ours(Connection(action=Action.DISCONNECT, time=end, kind="shut", **one))


class Flows(Sensor):
    """Connections known only by their addresses, which come again: they pair, supersede, and time out."""

    speed = 2.0
    rate = 8.0
    late = False

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        port = self.random.randrange(60)
        one = {"sensor": self.name, "protocol": ("tcp", "udp", "rdp")[port % 3], "client_ip": "203.0.113.77"}
        one |= {"client_port": 7000 + port, "server_ip": "192.0.2.7", "server_port": 443}
        lasts = self.random.uniform(0.5, 60)
        yield start, _ours(Connection(action=Action.CONNECT, time=start, **one))
        for time in self._moments(start, lasts, 3):
            yield time, _ours(Connection(action=Action.ACTIVITY, time=time, **one))
        if self.random.random() < 0.7:
            end = start + round(lasts * SECOND)
            yield end, _ours(Connection(action=Action.DISCONNECT, time=end, **one))


class Honeytrap(Sensor):
    """A honeypot that says nothing when a connection opens: any event opens its session, and silence may end it."""

    speed = 10.0
    rate = 8.0

    def __init__(self, name: str, seed: int, began: int) -> None:
        # Its sensors are all called so; what tells them apart is their token.
        super().__init__(f"services/{name}", seed, began)

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        # The last word is no session for itself: what nothing opens is remembered for a grace only.
        lasts = min(self._lasts(), 100.0)
        moments = [start, *self._moments(start, lasts, 4)]
        for time in moments:
            if self.random.random() < 0.5:
                user = self.random.choice(("root", "pi"))
                more = {"type": "password-authentication", "ssh.username": user, "ssh.password": "123456"}
                yield self._row(number, time, Action.ACTIVITY, more, user)
            else:
                yield self._row(number, time, Action.ACTIVITY, {"type": "shell", "ssh.command": "ls"})
        if self.random.random() < 0.7:
            yield self._row(number, start + round(lasts * SECOND), Action.DISCONNECT, {"type": "ssh-session"})

    def _row(self, number: int, time: int, action: Action, more: dict[str, str], user: str = "") -> tuple[int, Sent]:
        token, session_id = self.name.removeprefix("services/"), f"{self.name}-{number}"
        ends = {"client_ip": "198.51.100.77", "client_port": 1024 + number % 60_000, "server_ip": "10.0.0.5"}
        says = Connection(
            action=action,
            opens=action is Action.ACTIVITY,
            sensor=self.name,
            time=time,
            session_id=session_id,
            protocol="ssh",
            category="ssh",
            token=token,
            server_port=8022,
            user=user,
            # These only come once a login has worked.
            attributes={} if user else {"authenticated": "true"},
            **ends,
        )
        body = {
            "category": "ssh",
            "sensor": "services",
            "token": token,
            "date": rfc3339(time),
            "source-ip": says.client_ip,
            "source-port": says.client_port,
            "destination-ip": says.server_ip,
            "destination-port": says.server_port,
            "ssh.sessionid": session_id,
            **more,
        }
        return time, Sent(topics.native_topic("honeytrap"), session_id.encode(), _encode(body), says)


class Sshd(Sensor):
    """OpenSSH's server in the journal: connections have the number of their process, and no id."""

    speed = 2.0
    rate = 6.0
    late = False

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        user, lasts = self.random.choice(("root", "admin")), self.random.uniform(0.5, 60)
        client = f"203.0.113.88 port {1024 + number % 60_000}"
        yield self._line(number, start, Action.CONNECT, f"Connection from {client} on 192.0.2.8 port 22")
        for time in self._moments(start, lasts, 2):
            outcome = self.random.choice(("Failed", "Accepted"))
            says = f"{outcome} password for {user} from {client} ssh2"
            yield self._line(number, time, Action.ACTIVITY, says, user)
        if self.random.random() < 0.7:
            end = start + round(lasts * SECOND)
            yield self._line(number, end, Action.DISCONNECT, f"Connection closed by {client} [preauth]")

    def _line(self, number: int, time: int, action: Action, message: str, user: str = "") -> tuple[int, Sent]:
        pid, boot = str(1000 + number), "0123456789abcdef"
        says = Connection(
            action=action,
            sensor=self.name,
            time=time,
            process=f"{boot}/{pid}",
            protocol="ssh",
            token=boot,
            client_ip="203.0.113.88",
            client_port=1024 + number % 60_000,
            user=user,
        )
        if action is Action.CONNECT:
            says.server_ip, says.server_port = "192.0.2.8", 22
        if user:
            login = "success" if message.startswith("Accepted") else "failed"
            says.attributes = {"login": login, "method": "password"}
        body = {
            "__REALTIME_TIMESTAMP": str(time),
            "_HOSTNAME": self.name,
            "_BOOT_ID": boot,
            "_PID": pid,
            "SYSLOG_IDENTIFIER": "sshd",
            "MESSAGE": message,
        }
        return time, Sent(topics.native_topic("sshd"), pid.encode(), _encode(body), says)


class Vandal(Sensor):
    """Publishes what no decoder takes, to every topic."""

    rate = 2.0

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        value = self.random.choice(
            (b"\xff\xfe", b"{", b"[]", b"null", b'"text"', b'{"sensor": 5}', b'{"time": "never"}')
        )
        topic = self.random.choice((topics.EVENTS, topics.CONNECTIONS_IN, "sensor.native.cowrie", "sensor.native.zeek"))
        yield start, Sent(topic, str(number).encode(), value, poison=True)


class Gate(Sensor):
    """A sensor that begins anew again and again: whatever it had open, and says no more of, ends there.

    All of it in one partition and in order: a restart that has become known is remembered after a worker's own restart
    only by the sessions that it ended, which is no help to one that comes later still.
    """

    speed = 10.0
    rate = 8.0
    late = False
    #: Sessions of one life.
    _LIFE = 40

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        if number % self._LIFE == 0:
            # Not at the time of anything else.
            begun = Connection(action=Action.SENSOR_START, sensor=self.name, time=start, boot_id=f"life-{number}")
            yield start, self._sent(begun)
        one = {"sensor": self.name, "session_id": f"{self.name}-{number}", "protocol": ("ssh", "rdp")[number % 2]}
        one |= {"client_ip": "203.0.113.66", "client_port": 6000 + number % 50_000, "server_ip": "192.0.2.6"}
        lasts = min(self._lasts(), 100.0)
        moments = [start + 1, *self._moments(start + 1, lasts, 3)]
        for number_of, time in enumerate(moments):
            action = Action.ACTIVITY if number_of else Action.CONNECT
            yield time, self._sent(Connection(action=action, time=time, **one))
        if self.random.random() < 0.4:
            end = start + 1 + round(lasts * SECOND)
            yield end, self._sent(Connection(action=Action.DISCONNECT, time=end, **one))

    def _sent(self, says: Connection) -> Sent:
        return msgspec.structs.replace(_ours(says), key=self.name.encode())


class Fresh(Door):
    """One session that begins when all is over."""

    def step(self, seconds: float) -> list[Sent]:
        end = self.now + round(seconds * SECOND)
        one = {"sensor": self.name, "session_id": "fresh", "protocol": "ssh", "client_ip": "203.0.113.6"}
        says = Connection(action=Action.ACTIVITY, time=self.now, **one)
        return [
            _ours(Connection(action=Action.CONNECT, time=self.now, **one)),
            Sent(topics.EVENTS, session_key(says), event_value(Event(time=self.now, kind="command", **one)), says),
            _ours(Connection(action=Action.DISCONNECT, time=end, **one)),
        ]


def all_sensors(seed: int, now: int) -> list[Sensor]:
    """One of each kind, two doors; some live at ``now`` (microseconds UTC), the fast ones a year ago."""
    year_ago = now - 365 * 24 * HOUR
    made: list[tuple[Callable[[str, int, int], Sensor], str, int]] = [
        (Cowrie, "cowrie", year_ago),
        (Zeek, "zeek", year_ago),
        (Devices, "devices", now),
        (Door, "door-1", now),
        (Door, "door-2", now),
        (Flows, "flows", now),
        (Honeytrap, "honeytrap", year_ago),
        (Gate, "gate", year_ago),
        (Sshd, "sshd", now),
        (Vandal, "vandal", now),
    ]
    return [make(f"chaos-{name}", seed, began) for make, name, began in made]


def _ours(says: Connection) -> Sent:
    fields = msgspec.to_builtins(says)
    fields["time"] = rfc3339(says.time)
    return Sent(topics.CONNECTIONS_IN, session_key(says), _encode(fields), says)
