"""Scans of a network, compared one with the next: what came, went and moved (netalertx-facts: events of a scan).

A line of a scan says that a device was there; the decoder sees one line. Whoever reads the lines knows the scan before:
it adds rows of events as NetAlertX writes them. What it knows is kept on disk, so that the next file goes on.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from producers.formats.moments import Moment, micros_of
from producers.formats.netalertx import NETALERTX
from producers.inputs.files import UnreadableFileError
from producers.inputs.lines import Line
from producers.inputs.positions import PositionsError
from schemas.records import normal_mac

_encode = msgspec.json.Encoder().encode


class Scanned(msgspec.Struct):
    """A line of a scan. ``alert_down``: its absence is an alarm, as devAlertDown in NetAlertX."""

    time: Moment
    mac: str
    ip: str = ""
    vendor: str = ""
    sensor: str = NETALERTX
    alert_down: bool = False


class Device(msgspec.Struct):
    """What is known of a device: as the scan that saw it last said it."""

    mac: str
    ip: str
    alert_down: bool
    present: bool = True
    down: bool = False


class Network(msgspec.Struct):
    """The devices of one sensor, and its latest scan: when it was (microseconds UTC, and as it was written), which
    devices it has shown so far, whether that were all."""

    time: int = -1
    written: msgspec.Raw = msgspec.Raw(b"null")
    shown: set[str] = set()
    complete: bool = False
    devices: dict[str, Device] = {}


class _Written(msgspec.Struct):
    time: msgspec.Raw


_scanned = msgspec.json.Decoder(Scanned).decode
_written = msgspec.json.Decoder(_Written).decode


class Scans:
    """Compares scans in the order in which their lines come. Nothing is kept before the first line of one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._networks: dict[str, Network] | None = None
        self._lock: TextIO | None = None

    def compared(self, lines: Sequence[Line]) -> list[Line]:
        """The same lines, with rows of events among them. Raises UnreadableFileError when nothing can be kept."""
        found = []
        for line in lines:
            scanned = _scan_of(line)
            if scanned is None:
                found.append(line)
                continue
            before, after = self._take(scanned, _written(line.value or b"").time)
            found += [_line(line.number, row) for row in before]
            found.append(line)
            found += [_line(line.number, row) for row in after]
        return found

    def ended(self, number: int) -> list[Line]:
        """The scans that were read are complete: rows of the devices that they did not show."""
        rows = []
        for sensor, network in (self._networks or {}).items():
            rows += list(_absent(sensor, network))
            network.complete = True
        return [_line(number, row) for row in rows]

    def save(self) -> None:
        """Keep what is known, when Kafka has the rows. Raises PositionsError."""
        if self._networks is None:
            return
        beside = self.path.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                file.write(_encode(self._networks))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise PositionsError(self._unkept(error)) from error

    def close(self) -> None:
        """Another process may compare."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take(self, scanned: Scanned, written: msgspec.Raw) -> tuple[list[bytes], list[bytes]]:
        """Rows that belong before the line, and those after it."""
        networks = self._known()
        network = networks.setdefault(scanned.sensor, Network())
        time, mac = micros_of(scanned.time), normal_mac(scanned.mac)
        before: list[bytes] = []
        if time < network.time or (time == network.time and network.complete):
            # A scan that was compared already, or came late: its devices were there, and no more is known of it.
            return [], []
        if time > network.time:
            before = list(_absent(scanned.sensor, network))
            # It outlives the batch of lines that it came with.
            network.time, network.written = time, msgspec.Raw(bytes(written))
            network.shown, network.complete = set(), False
        after = list(_appeared(network, mac, scanned))
        network.shown.add(mac)
        return before, after

    def _known(self) -> dict[str, Network]:
        if self._networks is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = self.path.with_suffix(".lock").open("w")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                known = self.path.read_bytes() if self.path.exists() else b"{}"
                self._networks = msgspec.json.decode(known, type=dict[str, Network])
            except BlockingIOError:
                raise UnreadableFileError(f"{self.path} is in use: another sojourn produce compares scans") from None
            except OSError as error:
                raise UnreadableFileError(self._unkept(error)) from error
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise UnreadableFileError(f"{self.path} does not hold scans ({error}); delete it") from error
        return self._networks

    def _unkept(self, error: OSError) -> str:
        return f"scans cannot be kept in {self.path}: {error.strerror or error}"


def _scan_of(line: Line) -> Scanned | None:
    """None for what is no line of a scan, or will be refused by the decoder."""
    if line.value is None or b'"mac"' not in line.value:
        return None
    try:
        scanned = _scanned(line.value)
        micros_of(scanned.time)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return scanned if scanned.mac.strip() and scanned.sensor else None


def _appeared(network: Network, mac: str, scanned: Scanned) -> Iterator[bytes]:
    device = network.devices.get(mac)
    if device is None:
        network.devices[mac] = Device(scanned.mac, scanned.ip, scanned.alert_down)
        yield _row(scanned.sensor, network, scanned.mac, scanned.ip, "New Device", scanned.vendor)
        return
    if not device.present:
        kind = "Down Reconnected" if device.down else "Connected"
        yield _row(scanned.sensor, network, scanned.mac, scanned.ip, kind, "")
    if scanned.ip and device.ip and scanned.ip != device.ip:
        yield _row(scanned.sensor, network, scanned.mac, scanned.ip, "IP Changed", f"Previous IP: {device.ip}")
    device.present, device.down = True, False
    device.ip, device.alert_down = scanned.ip or device.ip, scanned.alert_down


def _absent(sensor: str, network: Network) -> Iterator[bytes]:
    """Devices that were there and that the scan did not show; once for each scan."""
    if network.complete:
        return
    for mac, device in network.devices.items():
        if device.present and mac not in network.shown:
            device.present, device.down = False, device.alert_down
            kind = "Device Down" if device.alert_down else "Disconnected"
            yield _row(sensor, network, device.mac, device.ip, kind, "")


def _row(sensor: str, network: Network, mac: str, ip: str, kind: str, info: str) -> bytes:
    row: dict[str, object] = {
        "eve_MAC": mac,
        "eve_IP": ip,
        "eve_DateTime": network.written,
        "eve_EventType": kind,
        "eve_AdditionalInfo": info,
    }
    return _encode(row if sensor == NETALERTX else {**row, "sensor": sensor})


def _line(number: int, row: bytes) -> Line:
    return Line(number, len(row), row)
