"""`sojourn generate` as a person calls it: into files, and through the whole pipeline."""

import asyncio
import sys
import uuid
from pathlib import Path

import pytest

from producers.load.generate import generate
from producers.load.mix import Tally, checked
from tests.up_process import Up

pytestmark = pytest.mark.integration

SHARES = {"losses": 0.02, "bad": 0.01, "duplicates": 0.03, "disorder": 0.1}


async def called(*options: str) -> tuple[int, bytes, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy", "generate", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, said = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output, said.decode()


async def test_the_same_call_writes_the_same_file(tmp_path: Path) -> None:
    options = [
        "--seed=4",
        "--records=5000",
        "--format=cowrie",
        *(f"--{name}={share}" for name, share in SHARES.items()),
    ]
    code, written, said = await called(*options, "--output=-")
    assert (code, written.count(b"\n")) == (0, 5_000)
    assert said.startswith("written 5,000 lines in ")
    file = tmp_path / "load.jsonl"
    assert (await called(*options, f"--output={file}"))[0] == 0
    assert file.read_bytes() == written


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format=zeek"], "format zeek: sojourn or cowrie was expected"),
        (["--start=soon"], "--start soon: a time like"),
        (["--output=/nowhere/load"], "/nowhere/load: No such file or directory"),
        (["--kafka=127.0.0.1:1"], "Kafka at 127.0.0.1:1 does not answer"),
    ],
)
async def test_what_cannot_be_done_is_said_in_one_line(options: list[str], words: str) -> None:
    code, output, said = await called(*options)
    assert (code, output) == (2, b"")
    assert said.startswith(f"sojourn: {words}"), said


def test_every_line_that_is_published_is_an_event_or_was_damaged(demo: Up) -> None:
    prefix = f"generated-{uuid.uuid4().hex[:8]}-"
    tally = Tally()
    # Sessions of a while: most have ended within the load.
    mix = checked(prefix=prefix, records=3_000, density=50.0, bad=0.01, duplicates=0.03, disorder=0.1)
    for _ in generate(mix, tally):
        pass
    options = ["--records=3000", "--density=50", f"--prefix={prefix}", f"--kafka=127.0.0.1:{demo.ports.kafka}"]
    shares = ["--bad=0.01", "--duplicates=0.03", "--disorder=0.1"]
    code, _, said = asyncio.run(called(*options, *shares))
    assert code == 0, said
    assert f"damaged {tally.bad:,}, second copies {tally.doubled:,}, late {tally.late:,}" in said
    of_ours = "WHERE startsWith(sensor, {prefix:String})"
    demo.wait_rows([(3_000 - tally.bad,)], f"SELECT count() FROM events {of_ours}", prefix=prefix)  # noqa: S608
    # Whose connect and disconnect came well is closed by it, and as long as both say.
    both = (
        f"SELECT session_id FROM events {of_ours} AND mac = '' AND kind IN ('connect', 'close') GROUP BY session_id"  # noqa: S608
        " HAVING uniqExact(kind) = 2"
    )
    [(expected,)] = demo.rows(f"SELECT count() FROM ({both})", prefix=prefix)  # noqa: S608
    assert expected > 200
    ended = (
        f"SELECT count() FROM sessions_current {of_ours} AND session_id IN ({both})"  # noqa: S608
        " AND end_reason = 'disconnect' AND duration_quality = 'exact'"
    )
    demo.wait_rows([(expected,)], ended, prefix=prefix)
