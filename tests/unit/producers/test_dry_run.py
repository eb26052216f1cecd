"""`sojourn produce --dry-run`: what lines would be, without a broker."""

import json
from pathlib import Path

import msgspec
import pytest

from producers.dry_run import SHOWN, run_dry
from schemas.settings import Settings

GOOD = b'{"sensor":"s","time":5,"action":"connect","session_id":"a"}\n'


def test_the_first_lines_are_shown_with_their_records_or_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"
    file.write_bytes(GOOD + b'\n{"sensor":"s"}\n' + GOOD * SHOWN)
    assert run_dry(Settings(), "sojourn", [str(file)]) == 1
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(shown) == SHOWN
    assert (shown[0]["file"], shown[0]["line"], shown[0]["topic"]) == (str(file), 1, "sensor.connections")
    [record] = shown[0]["records"]
    assert (record["event"]["kind"], record["connection"]["action"]) == ("connect", "connect")
    assert (shown[1]["line"], shown[1]["rejected"], shown[1]["field"]) == (3, "missing_field", "time")


def test_its_exit_code_is_that_of_the_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log"
    file.write_bytes(GOOD)
    small = Settings()
    small = msgspec.structs.replace(small, kafka=msgspec.structs.replace(small.kafka, max_message_bytes=1024))
    assert run_dry(small, "sojourn", [str(file)]) == 0
    file.write_bytes(GOOD + b"x" * 2000)
    assert run_dry(small, "sojourn", [str(file)]) == 1
    assert '"rejected":"too_large"' in capsys.readouterr().out
    assert run_dry(small, "sojourn", [str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"could not read {tmp_path}/none: No such file or directory\n"


def test_a_table_without_its_columns_is_named_with_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.csv"
    file.write_text("eve_MAC,eve_DateTime\nx,y\n")
    settings = msgspec.structs.replace(Settings(), data=str(tmp_path))
    assert run_dry(settings, "netalertx", [str(file)]) == 2
    assert f"could not read {file}: there is no column eve_EventType" in capsys.readouterr().err
