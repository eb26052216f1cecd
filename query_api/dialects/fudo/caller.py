"""What answering needs of a request, whether it came by itself or in a batch."""

from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from query_api.dialects.fudo.request import Request
from query_api.keys import SETTINGS, reader_of
from query_api.reader import Reader
from query_api.writes import Change


class Caller(msgspec.Struct, frozen=True):
    """``zone``: of the times that are shown. ``targets``: names of the backup targets there are."""

    reader: Reader
    zone: ZoneInfo
    targets: frozenset[str]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A write that was understood and is not made yet. ``members``: what its answer has beside ``result``.

    ``read``: the session whose attributes the answer has, too, once the change can be read.
    """

    change: Change
    status: int = 200
    members: dict[str, object] = {}
    read: tuple[str, Request] | None = None


def caller_of(request: web.Request) -> Caller:
    """The zone is the setting fudo.timezone; the settings were checked when they were loaded."""
    settings = request.app[SETTINGS]
    return Caller(reader_of(request), ZoneInfo(settings.fudo.timezone), frozenset(settings.backup.targets))
