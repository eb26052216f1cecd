"""Who connects, and to what, as Honeycast counted them: ``GET /metrics/attackers`` and ``GET /metrics/containers``.

Honeycast knew the clients of this moment, ``{remote_addr, local_addr, container}`` each, and its containers,
``{name, container_addr, meta}``. Here both are counted over all stored sessions.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from query_api import sql
from query_api.answers import page_response
from query_api.dialects.honeytrap.document import HoneytrapQuery
from query_api.dialects.honeytrap.pages import SESSIONS_VIEW, filter_of
from query_api.dialects.honeytrap.request import NUMBER, SIZE, parse
from query_api.dialects.honeytrap.rows import moment
from query_api.documents import json_object, query_pairs
from query_api.filters import Filter, both
from query_api.keys import reader_of
from query_api.listing import pattern_error, together
from query_api.openapi.doors import Door
from query_api.paging import Page
from query_api.reader import InvalidPatternError
from query_api.shapes import Member, Shape, address

#: Rows of an answer that asks for no page.
_ROWS = 1000


class _Counted(msgspec.Struct, frozen=True):
    """What sessions are counted by: a column, how each is named, and what of the other side is counted."""

    member: str
    by: str
    own: Mapping[str, str]
    #: Members that are JSON already, for the product's clients.
    products: Mapping[str, str]
    others: str
    other: str


_LATEST = "argMax({}, (page_time, session_id))"
_ADDRESS = _LATEST.format(address("server_ip", "server_port"))
#: As the product describes a container; it knew more of it in ``meta``.
_CONTAINER = (
    f"concat('{{\"name\":', toJSONString({_LATEST.format('container_id')}), "
    f"',\"container_addr\":', toJSONString({_ADDRESS}), ',\"meta\":{{}}}}')"
)
_ATTACKERS = _Counted(
    "attackers",
    "client_ip",
    {
        "remote_addr": "client_ip",
        "local_addr": _ADDRESS,
    },
    {"container": _CONTAINER},
    "containers",
    "uniqExactIf(container_id, container_id != '')",
)
_CONTAINERS = _Counted(
    "containers",
    "container_id",
    {
        "name": "container_id",
        "container_addr": _ADDRESS,
    },
    {"meta": "'{}'"},
    "attackers",
    "uniqExactIf(client_ip, client_ip != '')",
)


async def attackers(request: web.Request) -> web.Response:
    return await _answer(request, _ATTACKERS)


async def containers(request: web.Request) -> web.Response:
    return await _answer(request, _CONTAINERS)


async def _answer(request: web.Request, counted: _Counted) -> web.Response:
    asked = parse(json_object(await request.read()), query_pairs(request.rel_url.raw_query_string))
    reader = reader_of(request)
    source = SESSIONS_VIEW.source
    wanted = both([Filter(f"{counted.by} != ''"), filter_of(asked, SESSIONS_VIEW)])
    page = asked.page or Page(_ROWS)
    try:
        ((total,),), rows = await together(
            reader.records(sql.one_row(source, wanted, [f"uniqExact({counted.by})"])),
            reader.read(
                sql.groups(
                    source,
                    wanted,
                    _shape(counted, asked.rfc3339),
                    counted.by,
                    f"count() DESC, sum(event_count) DESC, {counted.by}",
                    page,
                )
            ),
        )
    except InvalidPatternError:
        raise await pattern_error(reader, wanted) from None
    paged = {SIZE: page.size, NUMBER: page.number} if asked.page is not None else {}
    return page_response({**paged, "total": total}, counted.member, rows)


def _shape(counted: _Counted, rfc3339: bool) -> Shape:
    return Shape(
        (
            *(Member(name, expression) for name, expression in counted.own.items()),
            *(Member(name, expression, raw=True) for name, expression in counted.products.items()),
            Member("sessions", "count()"),
            Member("open", "countIf(state = 'open')"),
            Member("events", "sum(event_count)"),
            Member(counted.others, counted.other),
            Member("first_seen", moment("min(page_time)", rfc3339)),
            Member(
                "last_seen", moment("max(greatest(page_time, last_activity_at, ifNull(ended_at, page_time)))", rfc3339)
            ),
        )
    )


_Count = Annotated[int, Meta(ge=0)]


class HoneytrapMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the product told of its containers besides; nothing is known of them here."""


class HoneytrapPlace(msgspec.Struct, frozen=True):
    """A container as the product describes it."""

    name: str
    container_addr: str
    meta: HoneytrapMeta


class HoneytrapAttacker(msgspec.Struct, frozen=True, kw_only=True):
    """A client address."""

    remote_addr: Annotated[str, Meta(description="Address of the client")]
    local_addr: Annotated[str, Meta(description="Where its latest session went, ip:port")]
    container: Annotated[HoneytrapPlace, Meta(description="What served its latest session; empty texts for none")]
    sessions: _Count
    open: Annotated[int, Meta(ge=0, description="Sessions that are open now")]
    events: Annotated[int, Meta(ge=0, description="Events of all its sessions")]
    containers: Annotated[int, Meta(ge=0, description="How many containers served it")]
    first_seen: Annotated[str, Meta(description="When its first session began")]
    last_seen: Annotated[str, Meta(description="The latest sign of life")]


class HoneytrapContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container that served clients."""

    name: Annotated[str, Meta(description="Id of the container")]
    container_addr: Annotated[str, Meta(description="Its address in the latest session, ip:port")]
    meta: HoneytrapMeta
    sessions: _Count
    open: Annotated[int, Meta(ge=0, description="Sessions that are open now")]
    events: Annotated[int, Meta(ge=0, description="Events of all its sessions")]
    attackers: Annotated[int, Meta(ge=0, description="How many clients it served")]
    first_seen: Annotated[str, Meta(description="When its first session began")]
    last_seen: Annotated[str, Meta(description="The latest sign of life")]


class HoneytrapAttackers(msgspec.Struct, frozen=True, kw_only=True):
    """Clients, those with the most sessions first."""

    response_per_page: int | UnsetType = UNSET
    page: int | UnsetType = UNSET
    total: _Count
    attackers: list[HoneytrapAttacker]


class HoneytrapContainers(msgspec.Struct, frozen=True, kw_only=True):
    """Containers, those with the most sessions first."""

    response_per_page: int | UnsetType = UNSET
    page: int | UnsetType = UNSET
    total: _Count
    containers: list[HoneytrapContainer]


_TEXT = "Over all sessions that pass `types` and `sensors`. Without `response_per_page` the first 1,000."
DOORS = (
    Door(
        method="GET",
        path="/metrics/attackers",
        handler=attackers,
        summary="Clients by their sessions",
        text=_TEXT,
        query=HoneytrapQuery,
        answer=HoneytrapAttackers,
    ),
    Door(
        method="GET",
        path="/metrics/containers",
        handler=containers,
        summary="Containers by their sessions",
        text=_TEXT,
        query=HoneytrapQuery,
        answer=HoneytrapContainers,
    ),
)
