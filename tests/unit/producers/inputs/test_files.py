"""Files as they are found on a sensor's disk: plain and packed."""

import asyncio
import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from producers.inputs.files import UnreadableFileError, expand, lines_of, size_of
from producers.inputs.lines import Line

LONGEST = 1000


async def read(path: Path | str, stop: asyncio.Event | None = None) -> list[bytes | None]:
    found = []
    async for lines in lines_of(str(path), LONGEST, stop or asyncio.Event()):
        found += [line.value for line in lines]
    return found


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
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
    whole = zstd.compress(b"a\nb\n" * 10)
    file.write_bytes(whole[:-1])
    with pytest.raises(UnreadableFileError, match="zstd data end too early"):
        await read(file)
    file.write_bytes(whole[:4] + b"nonsense")
    with pytest.raises(UnreadableFileError, match="broken zstd"):
        await read(file)
    with pytest.raises(UnreadableFileError, match="No such file"):
        await read(tmp_path / "none")
    with pytest.raises(UnreadableFileError, match="directory"):
        await read(tmp_path)


async def test_packed_files_of_several_parts_are_one(tmp_path: Path) -> None:
    file = tmp_path / "log"
    many = b"".join(b"%06d\n" % number for number in range(400_000))
    for pack in (gzip.compress, zstd.compress):
        file.write_bytes(pack(b"a\n") + pack(many) + pack(b"") + pack(b"z"))
        assert await read(file) == [b"a", *many.split(), b"z"]


async def test_standard_input_is_read_from_a_pipe_and_from_a_redirected_file(tmp_path: Path) -> None:
    code = (
        "import asyncio\n"
        "from producers.inputs.files import lines_of\n"
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
    (tmp_path / ".hidden").touch()
    (tmp_path / "below").mkdir()
    assert expand([str(tmp_path)]) == [f"{tmp_path}/{name}" for name in ("a.json", "b.json", "c.txt", "odd[1].json")]
