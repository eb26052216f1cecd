"""systemd's journal, read through journalctl, from a cursor on."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable

import msgspec

from producers.batch import Batch
from producers.inputs.files import UnreadableFileError
from producers.inputs.lines import Line, LineSplitter
from producers.inputs.positions import Positions
from producers.record_ids import RecordIds

#: ``journal:`` is what the format's program wrote, ``journal:ssh.service`` one unit.
PREFIX = "journal:"

_CHUNK = 1 << 20
#: Of what journalctl complains about the end is kept, so many bytes.
_COMPLAINT = 2_000
#: Seconds journalctl has to end when it was asked to.
_PATIENCE = 5.0
#: Identifiers by which OpenSSH's server writes; newer ones have a program for each session.
_IDENTIFIERS = {"sshd": ("sshd", "sshd-session", "sshd-auth")}


class _Entry(msgspec.Struct):
    cursor: str = msgspec.field(name="__CURSOR", default="")


_entry = msgspec.json.Decoder(_Entry).decode


def command_of(source: str, format_name: str, *, follow: bool, cursor: str) -> list[str]:
    """journalctl's arguments for a source."""
    command = ["journalctl", "--output=json", "--all", "--no-pager", "--quiet"]
    if unit := source.removeprefix(PREFIX):
        command.append(f"--unit={unit}")
    else:
        command += [f"--identifier={name}" for name in _IDENTIFIERS.get(format_name, ())]
    if follow:
        # Without a number of lines it would begin with the last ten.
        command += ["--follow", "--lines=all"]
    if cursor:
        command.append(f"--after-cursor={cursor}")
    return command


async def journal_batches(
    source: str,
    format_name: str,
    longest: int,
    stop: asyncio.Event,
    read: Callable[[int], None],
    positions: Positions | None,
) -> AsyncGenerator[Batch, None]:
    """The journal's entries, to its end; with ``positions`` from the cursor kept there, and those that come.

    Raises UnreadableFileError where there is no journalctl, and when it ends with an error or ends following.
    """
    if shutil.which("journalctl") is None:
        raise UnreadableFileError("there is no journalctl here")
    cursor = positions.cursor(source) if positions is not None else ""
    process = await asyncio.create_subprocess_exec(
        *command_of(source, format_name, follow=positions is not None, cursor=cursor),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C is for us: it ends when everything that it gave is published.
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    complaining = asyncio.create_task(_complaint(process.stderr))
    stopping = asyncio.create_task(stop.wait())
    splitter, ids = LineSplitter(longest), RecordIds()
    try:
        while True:
            reading = asyncio.create_task(process.stdout.read(_CHUNK))
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                return
            chunk = reading.result()
            if not chunk:
                break
            read(len(chunk))
            if lines := splitter.feed(chunk):
                yield Batch(source, lines, ids, _keeping(source, lines, positions))
        code = await process.wait()
        complaint = await complaining
        if code or (positions is not None and not stop.is_set()):
            raise UnreadableFileError(f"journalctl ended with code {code}: {complaint or 'it said nothing'}")
    finally:
        stopping.cancel()
        await _end(process)
        complaining.cancel()


def _keeping(source: str, lines: list[Line], positions: Positions | None) -> Callable[[], None]:
    def delivered() -> None:
        cursor = next((found for line in reversed(lines) if (found := _cursor_of(line))), "")
        if positions is not None and cursor:
            positions.set_cursor(source, cursor)

    return delivered


def _cursor_of(line: Line) -> str:
    """A line too long to be published, or damaged, has none: the one before it is kept."""
    try:
        return _entry(line.value).cursor if line.value else ""
    except (msgspec.DecodeError, RecursionError):
        return ""


async def _complaint(stderr: asyncio.StreamReader) -> str:
    said = b""
    while chunk := await stderr.read(_COMPLAINT):
        said = (said + chunk)[-_COMPLAINT:]
    return " ".join(said.decode(errors="replace").split())


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
