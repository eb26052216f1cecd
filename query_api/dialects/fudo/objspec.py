"""GET /objspec: what objects are made of, in the words of fudo-facts 2.6. False flags are left out."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from query_api.dialects.fudo.caller import caller_of
from query_api.dialects.fudo.model import ATTRIBUTES, Attribute, Kind
from query_api.dialects.fudo.reading import answered, no_body
from query_api.dialects.fudo.request import parse


class Spec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attribute."""

    type: str
    readonly: bool = False
    required: bool = False
    unique: bool = False
    expensive: bool = False


SESSION_BACKUP: Mapping[str, Spec] = {
    "session_id": Spec("string"),
    "session_ids": Spec("string-array"),
    "backup_id": Spec("string"),
    "backup_name": Spec("string"),
}


async def session(request: web.Request) -> web.StreamResponse:
    return await _answer(request, "session", {each.name: _spec(each) for each in ATTRIBUTES})


async def session_backup(request: web.Request) -> web.StreamResponse:
    return await _answer(request, "session_backup", SESSION_BACKUP)


async def _answer(request: web.Request, name: str, spec: Mapping[str, Spec]) -> web.Response:
    await no_body(request)
    parse(request.rel_url.raw_query_string, frozenset(), caller_of(request).zone)
    return answered({"result": "success", name: spec})


def _spec(attribute: Attribute) -> Spec:
    return Spec(
        # Times are strings in the document.
        "string" if attribute.kind is Kind.TIME else str(attribute.kind),
        readonly=not attribute.writable,
        unique=attribute.unique,
        expensive=attribute.expensive,
    )
