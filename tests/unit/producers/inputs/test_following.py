"""Files that grow and are rotated, by several runs one after the other."""

import asyncio
import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.inputs.following import Following
from producers.inputs.lines import Line
from producers.inputs.positions import Positions, PositionsError, default_path
from producers.inputs.tables import ZeekTable
from producers.record_ids import RecordIds

LONGEST = 1000


class _Plain:
    def convert(self, text: str) -> bytes | None:
        return text.encode()


def identify(lines: list[Line], ids: RecordIds) -> None:
    for line in lines:
        ids.next("s", line.value or b"")


class Run:
    """One run of a follower over sources, in the background; what it gave is delivered at once."""

    def __init__(
        self,
        kept: Path,
        *sources: Path | str,
        begin: Callable[[], _Plain | ZeekTable] = _Plain,
        linger: float = 0.3,
        from_start: bool = False,
    ) -> None:
        self.lines: list[bytes | None] = []
        self.numbers: list[int] = []
        self.ids: list[str] = []
        self._stop = asyncio.Event()
        self._more = asyncio.Event()
        names = [str(source) for source in sources]
        self._positions = Positions(kept, "test", "nowhere", names)
        self._positions.open(from_start=from_start)
        self.following = Following(names, self._positions, begin, identify, LONGEST, lambda size: None, linger)
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for batch in self.following.batches(self._stop):
            self.lines += [line.value for line in batch.lines]
            self.numbers += [line.number for line in batch.lines]
            self.ids += [batch.ids.next("s", line.value or b"") for line in batch.lines]
            batch.delivered()
            self._more.set()

    async def until(self, *expected: bytes) -> None:
        async def wait() -> None:
            while len(self.lines) < len(expected):
                self._more.clear()
                await self._more.wait()

        try:
            await asyncio.wait_for(wait(), 20)
        except TimeoutError:
            pytest.fail(f"after 20 s there were {self.lines}, not {expected}")
        assert self.lines == list(expected)

    async def end(self, *expected: bytes) -> None:
        """After a look that found nothing more, so that nothing was given that is not expected."""
        await self.until(*expected)
        await asyncio.sleep(0.5)
        assert self.lines == list(expected)
        self._stop.set()
        await asyncio.wait_for(self.task, 20)
        self._positions.close()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "positions" / "kept.json"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder / "app.json"


def numbered(first: int, last: int) -> list[bytes]:
    """Lines as long as a log's, so that a file's beginning tells it from others."""
    return [b"%06d %s" % (number, b"x" * 60) for number in range(first, last)]


def written(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def move(path: Path, to: Path) -> None:
    path.rename(to)


def pack(path: Path, to: Path) -> None:
    to.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


async def test_lines_count_when_their_end_is_written_and_a_second_run_goes_on_there(kept: Path, log: Path) -> None:
    run = Run(kept, log)
    await asyncio.sleep(0)
    write(log, b"a\nhal")
    await run.until(b"a")
    append(log, b"f\n")
    await run.until(b"a", b"half")
    append(log, b"not en")
    await run.end(b"a", b"half")
    append(log, b"ded\nlast\n")
    second = Run(kept, log)
    await second.end(b"not ended", b"last")
    assert second.numbers == [3, 4]
    again = Run(kept, log)
    await again.end()
    anew = Run(kept, log, from_start=True)
    await anew.end(b"a", b"half", b"not ended", b"last")


async def test_equal_lines_have_the_ids_of_one_import_over_two_runs(kept: Path, log: Path) -> None:
    write(log, b"same\nsame\n")
    first = Run(kept, log)
    await first.end(b"same", b"same")
    append(log, b"same\n")
    second = Run(kept, log)
    await second.end(b"same")
    ids = RecordIds()
    assert first.ids + second.ids == [ids.next("s", b"same") for _ in range(3)]


async def test_a_renamed_file_is_read_while_its_writer_goes_on_beside_its_successor(kept: Path, log: Path) -> None:
    write(log, b"a\n")
    run = Run(kept, log, linger=60.0)
    await run.until(b"a")
    with log.open("ab", buffering=0) as writer:
        move(log, log.with_name("app.json.1"))
        write(log, b"c\n")
        await run.until(b"a", b"c")
        writer.write(b"b\nlast")
        await run.until(b"a", b"c", b"b")
    run.following.linger = 0.1
    await run.end(b"a", b"c", b"b", b"last")
    assert run.numbers == [1, 1, 2, 3]


async def test_what_was_renamed_twice_and_packed_while_nobody_followed_is_read_to_its_end(
    kept: Path, log: Path
) -> None:
    first, second, third = numbered(0, 20), numbered(20, 40), numbered(40, 60)
    log.with_name("app.json.9").write_bytes(b"from before the first run\n")
    os.utime(log.with_name("app.json.9"), (1, 1))
    write(log, written(first[:10]))
    run = Run(kept, log)
    await run.end(*first[:10])
    append(log, written(first[10:]))
    packed = log.with_name("app.json.2.gz")
    pack(log, packed)
    log.with_name("app.json.1").write_bytes(written(second))
    write(log, written(third))
    resumed = Run(kept, log)
    await resumed.end(*first[10:], *second, *third)
    await Run(kept, log).end()


async def test_a_file_renamed_while_nobody_followed_is_found_by_its_inode(kept: Path, log: Path) -> None:
    write(log, b"a\n")
    await Run(kept, log).end(b"a")
    append(log, b"b\n")
    move(log, log.with_name("app-20261122.json"))
    write(log, b"c\n")
    await Run(kept, log).end(b"b", b"c")


async def test_a_truncated_file_is_read_anew_after_the_rest_of_its_copy(kept: Path, log: Path) -> None:
    first, second = numbered(0, 30), numbered(30, 90)
    write(log, written(first[:20]))
    run = Run(kept, log)
    await run.end(*first[:20])
    # Nobody follows when it is copied and truncated, and it is longer than before when somebody does.
    append(log, written(first[20:]))
    shutil.copy(log, log.with_name("app.json.1"))
    write(log, written(second))
    again = Run(kept, log)
    await again.until(*first[20:], *second)
    write(log, b"short\n")
    await again.end(*first[20:], *second, b"short")


async def test_a_directory_and_a_pattern_take_new_files_and_read_a_rotated_one_once(kept: Path, log: Path) -> None:
    old, new = numbered(0, 10), numbered(10, 20)
    for source in (log.parent, f"{log.parent}/*"):
        for file in log.parent.iterdir():
            file.unlink()
        run = Run(kept, source, from_start=True)
        write(log, written(old))
        await run.until(*old)
        move(log, log.with_name("app.json.1"))
        write(log, written(new))
        await run.until(*old, *new)
        log.with_name("other.gz").write_bytes(gzip.compress(b"packed\n"))
        await run.end(*old, *new, b"packed")
        await Run(kept, source).end()


async def test_columns_keep_their_names_over_a_restart(kept: Path, log: Path) -> None:
    header = b"#separator \\x09\n#fields\tts\tuid\n#types\ttime\tstring\n"
    write(log, header + b"1.5\tC1\n")
    run = Run(kept, log, begin=ZeekTable)
    await run.end(b"", b"", b"", b'{"ts":1.5,"uid":"C1"}')
    append(log, b"2.5\tC2\n")
    await Run(kept, log, begin=ZeekTable).end(b'{"ts":2.5,"uid":"C2"}')


async def test_what_a_crash_left_undelivered_comes_again_and_nothing_is_left_out(kept: Path, log: Path) -> None:
    lines = numbered(0, 40_000)
    write(log, written(lines))
    taken: list[bytes] = []
    for deliver in (0, 1, 0):
        positions = Positions(kept, "test", "nowhere", [str(log)])
        positions.open()
        batches = Following([str(log)], positions, _Plain, identify, LONGEST, lambda size: None).batches(
            asyncio.Event()
        )
        for _ in range(deliver):
            batch = await anext(batches)
            taken += [line.value or b"" for line in batch.lines]
            batch.delivered()
        undelivered = await anext(batches)
        assert [line.value for line in undelivered.lines] == lines[len(taken) : len(taken) + len(undelivered.lines)]
        await batches.aclose()
        positions.close()
    assert 0 < len(taken) < len(lines)
    await Run(kept, log).end(*lines[len(taken) :])


async def test_files_that_cannot_be_read_are_named_and_the_others_followed(kept: Path, log: Path) -> None:
    fifo = log.with_name("fifo")
    os.mkfifo(fifo)
    nothing = Run(kept, fifo)
    await asyncio.wait_for(nothing.task, 20)
    assert nothing.following.failed == {str(fifo): "only files, directories and - can be followed"}
    await nothing.end()
    write(log, b"a\n")
    broken = log.with_name("broken.gz")
    broken.write_bytes(gzip.compress(b"b\n")[:-4])
    run = Run(kept, log, broken)
    await run.until(b"b", b"a")
    assert run.following.failed == {str(broken): "the gzip data end too early"}
    broken.write_bytes(gzip.compress(b"b\nwhole now\n"))
    await run.end(b"b", b"a", b"whole now")
    assert run.following.failed == {}


def test_positions_belong_to_one_process_and_to_one_call(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    first, second = Positions(kept, "zeek", "k", ["a"]), Positions(kept, "zeek", "k", ["a"])
    first.open()
    with pytest.raises(PositionsError, match="is in use: another"):
        second.open()
    first.close()
    second.open()
    second.close()
    kept.write_bytes(b"{")
    with pytest.raises(PositionsError, match="does not hold positions"):
        second.open()
    with pytest.raises(PositionsError, match="cannot be kept in /proc/"):
        Positions(Path("/proc/none/kept.json"), "zeek", "k", ["a"]).open()
    calls = [("zeek", "k", ["a"]), ("zeek", "k", ["b"]), ("zeek", "l", ["a"]), ("cowrie", "k", ["a"])]
    assert len({default_path("data", *call) for call in calls}) == 4
    assert default_path("data", "zeek", "k", ["b", "a"]) == default_path("data", "zeek", "k", ["a", "b"])
