"""One session, exported: its row and its events, each as Parquet and as JSON, below the target."""

import asyncio
import tempfile
from pathlib import Path

import msgspec

from producers.writes import Target
from stream_processors.backup.places import Place, path_part
from stream_processors.backup.store import Seen, Store


class Exported(msgspec.Struct, frozen=True):
    """Files below the target, and the number of events in them."""

    files: list[str]
    events: int


async def export(store: Store, target: Target, seen: Seen, place: Place) -> Exported:
    """Put the files of a session where they belong; the same call again puts them there again.

    ``session.json`` is put last: where it is, the others are. Raises PlaceError, or one of store.UNAVAILABLE.
    """
    with tempfile.TemporaryDirectory(prefix="sojourn-backup-") as folder:
        made = Path(folder)
        events = await asyncio.to_thread(_write, store, target, seen, made)
        below = f"{path_part(target.sensor)}/{path_part(target.session_id)}"
        names = [f"{below}/{name}" for name in _FILES]
        for file, name in zip(_FILES, names, strict=True):
            await place.put(made / file, name)
    return Exported(names, events)


_FILES = ("events.parquet", "events.jsonl", "session.parquet", "session.json")


def _write(store: Store, target: Target, seen: Seen, folder: Path) -> int:
    store.write_events(seen, "Parquet", folder / "events.parquet")
    store.write_events(seen, "JSONEachRow", folder / "events.jsonl")
    store.write_session(target, "Parquet", folder / "session.parquet")
    store.write_session(target, "JSONEachRow", folder / "session.json")
    with (folder / "events.jsonl").open("rb") as lines:
        return sum(1 for _ in lines)
