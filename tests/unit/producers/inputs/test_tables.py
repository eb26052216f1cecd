"""Files that need their header, and NetAlertX's database."""

import asyncio
import json
import sqlite3
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from producers.formats import DECODERS, Rejection
from producers.inputs.database import event_rows, is_database
from producers.inputs.files import UnreadableFileError
from producers.inputs.lines import Line
from producers.inputs.tables import EventTable, ZeekTable, converted, table_of, zone_of
from schemas.settings import Formats, Settings, SettingsError

BERLIN = ZoneInfo("Europe/Berlin")
ZEEK = r"""#separator \x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	ssh
#open	2019-12-03-22-44-56
#fields	ts	uid	id.orig_h	id.orig_p	auth_success	client	tags	note
#types	time	string	addr	port	bool	string	set[string]	string
1575413096.052279	C1	10.0.0.1	4022	T	SSH-2.0-Go	a,b	(empty)
1575413097.000001	C2	10.0.0.2	4023	-	-	(empty)	x
#close	2019-12-03-22-44-57"""


def lines(text: str) -> list[Line]:
    return [Line(number, len(line), line.encode()) for number, line in enumerate(text.split("\n"), 1)]


def records(found: list[Line]) -> list[dict[str, object]]:
    return [json.loads(line.value) for line in found if line.value]


def test_zeeks_columns_are_named_by_their_header() -> None:
    found = converted(lines(ZEEK), ZeekTable())
    assert [line.number for line in found] == list(range(1, 12))
    assert records(found) == [
        {
            "_path": "ssh",
            "ts": 1575413096.052279,
            "uid": "C1",
            "id.orig_h": "10.0.0.1",
            "id.orig_p": 4022,
            "auth_success": True,
            "client": "SSH-2.0-Go",
            "tags": ["a", "b"],
            "note": "",
        },
        {
            "_path": "ssh",
            "ts": 1575413097.000001,
            "uid": "C2",
            "id.orig_h": "10.0.0.2",
            "id.orig_p": 4023,
            "tags": [],
            "note": "x",
        },
    ]
    for line in found:
        if line.value:
            assert not isinstance(DECODERS["zeek"](line.value), Rejection)


def test_json_and_columns_without_a_header_stay_as_they_are() -> None:
    plain = lines('{"ts":1}\n1\t2\t3')
    assert converted(plain, ZeekTable()) == plain


def test_events_as_csv_in_any_order_of_columns_with_the_zone_they_were_written_in() -> None:
    text = (
        "eve_EventType,eve_DateTime,eve_MAC,eve_AdditionalInfo\n"
        'Connected,2025-08-01 10:00:00,AA:BB:CC:00:11:22,"a, ""b"""\n'
        "Disconnected,2025-12-01 10:00:00,AA:BB:CC:00:11:22,\n"
        "short,row"
    )
    found = converted(lines(text), EventTable(BERLIN))
    assert found[0].value == b""
    assert found[3].value == b"short,row"
    assert records(found[:3]) == [
        {
            "eve_EventType": "Connected",
            "eve_DateTime": "2025-08-01 10:00:00+02:00",
            "eve_MAC": "AA:BB:CC:00:11:22",
            "eve_AdditionalInfo": 'a, "b"',
        },
        {
            "eve_EventType": "Disconnected",
            "eve_DateTime": "2025-12-01 10:00:00+01:00",
            "eve_MAC": "AA:BB:CC:00:11:22",
            "eve_AdditionalInfo": "",
        },
    ]


@pytest.mark.parametrize("missing", ["eve_MAC", "eve_DateTime", "eve_EventType"])
def test_a_file_without_a_column_that_is_needed_is_refused_by_its_name(missing: str) -> None:
    header = ",".join({"eve_MAC", "eve_DateTime", "eve_EventType", "eve_IP"} - {missing})
    with pytest.raises(UnreadableFileError, match=f"no column {missing};"):
        converted(lines(header), EventTable(BERLIN))


def test_a_database_gives_its_events_in_order(tmp_path: Path) -> None:
    path = tmp_path / "app #1.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE Events (eve_MAC STRING(50), eve_IP STRING(50), eve_DateTime DATETIME, "
            "eve_EventType STRING(30), eve_AdditionalInfo STRING(250), eve_PendingAlertEmail BOOLEAN)"
        )
        database.executemany(
            "INSERT INTO Events VALUES (?, ?, ?, ?, ?, ?)",
            [
                ("112233445566", "10.0.0.1", "2025-08-01 10:00:00", "Connected", "", 1),
                ("AA:BB:CC:00:11:22", "10.0.0.2", "2025-08-01 11:00:00", "Disconnected", None, 0),
            ],
        )
    database.close()
    assert is_database(str(path))
    assert not is_database(str(tmp_path / "absent"))

    async def read() -> list[Line]:
        return [line async for some in event_rows(str(path), BERLIN, asyncio.Event()) for line in some]

    found = asyncio.run(read())
    assert [(row["eve_MAC"], row["eve_DateTime"]) for row in records(found)] == [
        (112233445566, "2025-08-01 10:00:00+02:00"),
        ("AA:BB:CC:00:11:22", "2025-08-01 11:00:00+02:00"),
    ]
    for line in found:
        assert line.value is not None
        assert not isinstance(DECODERS["netalertx"](line.value), Rejection)


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("devMac, devName, devOwner, devLastIP, devLastConnection, devVendor", 2),
        # Of an older product.
        ("dev_MAC, dev_Name, dev_Owner, dev_LastIP, dev_LastConnection, dev_Vendor", 0),
    ],
)
def test_a_database_gives_the_names_of_its_devices(tmp_path: Path, columns: str, rows: int) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE Events (eve_MAC, eve_DateTime, eve_EventType)")
        database.execute(f"CREATE TABLE Devices ({columns})")
        named = ("10.0.0.1", "2025-08-01 10:00:00", "ACME")
        database.executemany(
            "INSERT INTO Devices VALUES (?, ?, ?, ?, ?, ?)",
            [
                ("AA:BB:CC:00:11:22", "tv", "Ada", *named),
                ("AA:BB:CC:00:11:23", "", "", *named),
                ("AA:BB:CC:00:11:21", "radio", None, *named),
                ("AA:BB:CC:00:11:24", "never there", "", "", None, ""),
            ],
        )
    database.close()

    async def read() -> list[Line]:
        return [line async for some in event_rows(str(path), BERLIN, asyncio.Event()) for line in some]

    found = asyncio.run(read())
    assert [line.number for line in found] == list(range(1, rows + 1))
    assert [(row["devName"], row["devLastConnection"]) for row in records(found)] == [
        ("radio", "2025-08-01 10:00:00+02:00"),
        ("tv", "2025-08-01 10:00:00+02:00"),
    ][:rows]
    for line in found:
        assert line.value is not None
        assert not isinstance(DECODERS["netalertx"](line.value), Rejection)


def test_another_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE Sessions (a TEXT)")
    database.close()

    async def read() -> None:
        async for _ in event_rows(str(path), BERLIN, asyncio.Event()):
            pass

    with pytest.raises(UnreadableFileError, match="no such table: Events"):
        asyncio.run(read())


@pytest.mark.parametrize("zone", ["Nowhere/City", "../etc/passwd", "Europe"])
def test_a_zone_that_does_not_exist_is_a_setting_to_be_corrected(zone: str) -> None:
    with pytest.raises(SettingsError, match="netalertx_timezone"):
        zone_of(Settings(formats=Formats(netalertx_timezone=zone)))


def test_most_formats_need_no_header() -> None:
    assert table_of("cowrie", Settings()) is None
    assert table_of("zeek", Settings()) is ZeekTable
