"""Bytes of a dead letter at the terminal."""

import pytest

from deploy.dead_letters_print import readable, whole_letter
from schemas.dead_letters import DeadLetter, Reason, Stage
from stream_processors.dead_letters.reading import Found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"", ""),
        ('{"user":"ü"}\n'.encode(), '{"user":"ü"}\n'),
        (b"\xff\x00", "ff 00"),
        (b"\x1b[2Jboo", "1b 5b 32 4a 62 6f 6f"),
        (bytes(range(128, 145)), "80 81 82 83 84 85 86 87 88 89 8a 8b 8c 8d 8e 8f\n90"),
    ],
)
def test_text_is_text_and_everything_else_is_hex(value: bytes, shown: str) -> None:
    assert readable(value) == shown


def test_nothing_in_a_letter_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    letter = DeadLetter(
        stage=Stage.ROUTE,
        reason=Reason.BAD_VALUE,
        field="\x1b[31m",
        topic="t",
        partition=0,
        offset=1,
        epoch="e",
        key=b"\x1b",
        value=b"{}",
        headers=[("na\x1bme", b"ok")],
    )
    whole_letter(Found("e/t/0/1/route", letter, "replayed"), as_json=False)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "state     replayed" in printed
    assert printed.endswith("value     2 bytes\n{}\n")
