"""Files as they are found on a sensor's disk: plain, packed, growing, rotated."""

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from producers.files import UnreadableFileError, expand, follow, lines_of, size_of
from producers.lines import Line

LONGEST = 1000


async def read(path: Path | str, stop: asyncio.Event | None = None) -> list[bytes | None]:
    found = []
    async for lines in lines_of(str(path), LONGEST, stop or asyncio.Event()):
        found += [line.value for line in lines]
    return found


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
async def test_a_file_is_read_to_its_end_whatever_its_name_says(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "log"
    for content, lines in ((b"a\nb\n", [b"a", b"b"]), (b"a\nb", [b"a", b"b"]), (b"x", [b"x"]), (b"", [])):
        file.write_bytes(pack(content))
        assert await read(file) == lines


async def test_a_large_file_comes_in_pieces_and_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "log"
    lines = [b"%06d" % number for number in range(500_000)]
    file.write_bytes(b"\n".join(lines))
    sizes: list[int] = []
    found: list[bytes | None] = []
    async for some in lines_of(str(file), LONGEST, asyncio.Event(), sizes.append):
        found += [line.value for line in some]
    assert found == lines
    assert sum(sizes) == size_of(str(file)) == 500_000 * 7 - 1
    assert len(sizes) > 1


async def test_a_broken_file_gives_what_was_before_the_fault_and_says_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "log.gz"
    file.write_bytes(gzip.compress(b"a\nb\n" * 10)[:-4])
    found: list[Line] = []

    async def collect() -> None:
        async for lines in lines_of(str(file), LONGEST, asyncio.Event()):
            found.extend(lines)

    with pytest.raises(UnreadableFileError, match="end too early"):
        await collect()
    assert len(found) == 20
    file.write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(UnreadableFileError, match="broken gzip"):
        await read(file)
    with pytest.raises(UnreadableFileError, match="No such file"):
        await read(tmp_path / "none")
    with pytest.raises(UnreadableFileError, match="directory"):
        await read(tmp_path)


async def test_standard_input_is_read_from_a_pipe_and_from_a_redirected_file(tmp_path: Path) -> None:
    code = (
        "import asyncio\n"
        "from producers.files import lines_of\n"
        "async def main():\n"
        "    async for lines in lines_of('-', 100, asyncio.Event()):\n"
        "        for line in lines: print(line.number, line.value)\n"
        "asyncio.run(main())\n"
    )
    file = tmp_path / "log"
    for content in (b"a\nb\n", gzip.compress(b"a\nb\n")):
        file.write_bytes(content)
        for command in ("cat {0} | python -c {1}", "python -c {1} < {0}"):
            shell = await asyncio.create_subprocess_exec(
                "sh",
                "-c",
                command.format('"$1"', '"$2"').replace("python", '"$0"'),
                sys.executable,
                str(file),
                code,
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await asyncio.wait_for(shell.communicate(), 60)
            assert out.decode().splitlines() == ["1 b'a'", "2 b'b'"]


def test_globs_are_expanded_and_names_stay(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "c.txt", "odd[1].json"):
        (tmp_path / name).touch()
    assert expand([f"{tmp_path}/[ab].json", f"{tmp_path}/a.json", f"{tmp_path}/none", "-"]) == [
        f"{tmp_path}/a.json",
        f"{tmp_path}/b.json",
        f"{tmp_path}/none",
        "-",
    ]
    assert expand([f"{tmp_path}/odd[1].json"]) == [f"{tmp_path}/odd[1].json"]
    assert expand([f"{tmp_path}/*.none"]) == [f"{tmp_path}/*.none"]


class Follower:
    """Follows a file in the background; ``until`` waits for lines, bounded."""

    def __init__(self, path: Path) -> None:
        self.stop = asyncio.Event()
        self.lines: list[Line] = []
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._run(follow(str(path), LONGEST, self.stop)))

    async def _run(self, source: AsyncIterator[list[Line]]) -> None:
        async for lines in source:
            self.lines += lines
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
        assert [line.value for line in self.lines] == list(expected)

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self._task, 20)


async def test_a_followed_file_gives_lines_when_their_end_is_written(tmp_path: Path) -> None:
    file = tmp_path / "log"
    following = Follower(file)
    with file.open("ab", buffering=0) as log:
        log.write(b"a\nhal")
        await following.until(b"a")
        log.write(b"f\n")
        await following.until(b"a", b"half")
        log.write(b"never ended")
    await following.end()
    await following.until(b"a", b"half")


async def test_a_file_that_was_renamed_is_read_to_its_end_and_then_its_successor(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"a\n")
    following = Follower(file)
    await following.until(b"a")
    with file.open("ab", buffering=0) as log:
        file.rename(tmp_path / "log.1")
        log.write(b"b\nlast")
    file.write_bytes(b"c\n")
    await following.until(b"a", b"b", b"last", b"c")
    assert [line.number for line in following.lines] == [1, 2, 3, 1]
    await following.end()


async def test_a_file_that_was_truncated_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"first\nsecond\n")
    following = Follower(file)
    await following.until(b"first", b"second")
    file.write_bytes(b"c\n")
    await following.until(b"first", b"second", b"c")
    await following.end()
