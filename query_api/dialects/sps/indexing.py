"""How the content of a session was taken in: what the product calls indexing (sps-facts 1.9)."""

from importlib.metadata import version

import msgspec
from aiohttp import web

from query_api import sql
from query_api.dialects.sps import answers, links, request
from query_api.dialects.sps.events import numbered
from query_api.dialects.sps.found import find
from query_api.dialects.sps.paths import session_path
from query_api.keys import reader_of


class SpsSwitch(msgspec.Struct, frozen=True):
    enabled: bool


class SpsBuffered(msgspec.Struct, frozen=True):
    buffer_interval: int
    enabled: bool


class SpsScreen(msgspec.Struct, frozen=True):
    enabled: bool
    omnipage_trade_off: str = "TO_ACCURATE"


class SpsIndexingConfig(msgspec.Struct, frozen=True):
    """What is extracted: whatever sensors say of commands and titles; there are no images to read."""

    command: SpsSwitch = SpsSwitch(True)
    keyboard: SpsBuffered = SpsBuffered(0, False)
    mouse: SpsBuffered = SpsBuffered(0, False)
    near_realtime: bool = True
    ocr_languages: tuple[str, ...] = ()
    screen: SpsScreen = SpsScreen(False)
    title: SpsSwitch = SpsSwitch(True)


class SpsIndexingStatistics(msgspec.Struct, frozen=True):
    """Milliseconds; ``start_time`` since 1970 UTC. Nobody measures the time of one session's events."""

    cpu_time: None
    duration: int
    start_time: int


class SpsIndexingVersion(msgspec.Struct, frozen=True):
    adp: str
    worker: str


class SpsIndexingItem(msgspec.Struct, frozen=True):
    config: SpsIndexingConfig
    statistics: SpsIndexingStatistics
    status: str
    version: SpsIndexingVersion


async def indexing(http: web.Request) -> web.Response:
    """GET …/indexing: one item when the session has stored events."""
    session = await find(http)
    window = request.window(request.parameters(http, ("limit", "offset")), request.LARGEST_PART)
    source, own = numbered(session)
    first = "toUnixTimestamp64Milli(min(ingested_at))"
    last = "toUnixTimestamp64Milli(max(ingested_at))"
    found = await reader_of(http).records(sql.one_row(source, own, ["count()", first, last]))
    stored, start, end = (int(value) for value in found[0])
    items: list[object] = []
    if stored:
        ours = version("sojourn")
        status = "IN_PROGRESS" if session.state == "open" else "COMPLETED"
        statistics = SpsIndexingStatistics(None, end - start, start)
        items.append(SpsIndexingItem(SpsIndexingConfig(), statistics, status, SpsIndexingVersion(ours, ours)))
    parent = session_path(session.session_id)
    meta = links.list_meta(f"{parent}/indexing", parent, window, len(items), {})
    return answers.items_response(items[window.offset :], {**meta, "match_count": len(items)})
