"""POST /batch: several requests in one, one after the other (fudo-facts 2.7).

Requests that are atomic are made together or not at all: their writes are understood first, and published when nothing
went wrong. What was published stays, there is no way to take a record back; so nothing atomic is published before.
"""

import re
from typing import Any
from urllib.parse import unquote, urlencode

import msgspec
from aiohttp import web

from query_api.dialects.fudo import backing_up, changing
from query_api.dialects.fudo.batch_request import Batch, Part, parse
from query_api.dialects.fudo.caller import Caller, Prepared, caller_of
from query_api.dialects.fudo.reading import MEMBER, answered, one_session, page, written
from query_api.dialects.fudo.references import References
from query_api.dialects.fudo.request import OF_LIST, OF_ONE
from query_api.dialects.fudo.request import parse as parse_query
from query_api.documents import json_object
from query_api.errors import ApiError, BadRequestError
from query_api.writes import WRITES, Writes, part_of, request_id

#: Sessions that all lists of a batch may have together.
ROWS_LIMIT = 10_000

_PATH = re.compile(r"/session/([^/]+)")
_BACKUP_PATH = re.compile(r"/session/([^/]+)/backup/([^/]+)")
_NOT_MADE = "not made: another request of the batch failed"


class _Result(msgspec.Struct):
    """What became of a part; ``prepared`` is a write that waits for the others."""

    part: Part
    status: int = 0
    members: dict[str, object] = {}
    prepared: Prepared | None = None

    @property
    def is_failure(self) -> bool:
        return self.status >= 400

    def shown(self) -> dict[str, object]:
        word = "failure" if self.is_failure else "success"
        return {"id": self.part.id, "result": word, "status": self.status, **self.members}


async def batch(request: web.Request) -> web.StreamResponse:
    caller = caller_of(request)
    parse_query(request.rel_url.raw_query_string, frozenset(), caller.zone)
    asked = parse(json_object(await request.read()))
    made = _Made(caller, request.app[WRITES], request, await request_id(request))
    results = await made.all(asked)
    responses = [one.shown() for one in results]
    failed = [one for one in results if one.is_failure and one.part.atomic]
    if not failed:
        return answered({"result": "success", "responses": responses})
    words = "an atomic request failed: none of them was made"
    away = any(one.status >= 500 for one in failed)
    response = answered({"result": "failure", "message": words, "responses": responses}, 503 if away else 400)
    if away:
        response.headers["Retry-After"] = "2"
    return response


class _Made:
    """One batch while it is made. ``name``: the id of the whole request."""

    def __init__(self, caller: Caller, writes: Writes, request: web.Request, name: str) -> None:
        self._caller = caller
        self._writes = writes
        self._request = request
        self._name = name
        self._rows_left = ROWS_LIMIT
        #: Whether reads showed what was written last; once they did not, nothing more is waited for.
        self._reads_follow = True

    async def all(self, asked: Batch) -> list[_Result]:
        references = References(asked.variables)
        results: list[_Result] = []
        for part in asked.parts:
            result = await self._one(part, references)
            results.append(result)
            if not result.is_failure:
                references.add(part.id, result.shown())
        await self._settle([one for one in results if one.part.atomic])
        return results

    async def _one(self, part: Part, references: References) -> _Result:
        try:
            result = await self._answer(part, references)
            if result.prepared is not None and not part.atomic:
                await self._make(result, result.prepared)
        except ApiError as error:
            result = _Result(part, error.status, {"message": error.message})
        return result

    async def _make(self, result: _Result, prepared: Prepared) -> None:
        if self._reads_follow:
            self._reads_follow = await self._writes.make(prepared.change, self._caller.reader, self._request)
        else:
            await self._writes.publish(prepared.change.writes)
        result.status, result.members = await self._written(prepared, self._reads_follow)

    async def _settle(self, atomic: list[_Result]) -> None:
        """Make all writes that belong together, or none."""
        waiting = [(one, one.prepared) for one in atomic if one.prepared is not None]
        failed = next((one for one in atomic if one.is_failure), None)
        if not failed and waiting:
            try:
                await self._writes.publish([write for _, prepared in waiting for write in prepared.change.writes])
            except ApiError as error:
                for one, _ in waiting:
                    one.status, one.members = error.status, {"message": error.message}
                return
        for one, prepared in waiting:
            if failed:
                one.status, one.members = 400, {"message": _NOT_MADE}
                continue
            self._reads_follow = self._reads_follow and await self._writes.visible(
                self._caller.reader, prepared.change.shown
            )
            one.status, one.members = await self._written(prepared, self._reads_follow)

    async def _written(self, prepared: Prepared, is_visible: bool) -> tuple[int, dict[str, object]]:
        status, members = await written(self._caller, prepared, is_visible)
        session = members.get(MEMBER)
        if isinstance(session, msgspec.Raw):
            # Later requests may refer to what is in it.
            members = {**members, MEMBER: msgspec.json.decode(session)}
        return status, members

    async def _answer(self, part: Part, references: References) -> _Result:
        """Raises ApiError."""
        path, _, query = references.in_path(part.endpoint).partition("?")
        query = "&".join(filter(None, [query, _query(references.in_value(dict(part.params)))]))
        data = None if part.data is None else references.in_value(dict(part.data))
        if part.method == "GET":
            if data is not None:
                raise BadRequestError("Request body is not allowed for this endpoint")
            return _Result(part, 200, await self._read(path, query))
        name = part_of(self._name, part.id)
        prepared = await self._prepared(part.method, path, query, data, name)
        return _Result(part, prepared.status, prepared.members, prepared)

    async def _read(self, path: str, query: str) -> dict[str, object]:
        zone = self._caller.zone
        if path == "/session":
            asked = parse_query(query, OF_LIST, zone)
            if asked.limit is None or asked.limit > self._rows_left:
                raise BadRequestError(
                    f"limit is needed in a batch, at most {self._rows_left} of {ROWS_LIMIT} are left", field="limit"
                )
            self._rows_left -= asked.limit
            total, found = await page(self._caller, asked, asked.limit)
            sessions: object = msgspec.json.decode(b"[" + found + b"]")
            return {**({"total_count": total} if total is not None else {}), MEMBER: sessions}
        if one := _PATH.fullmatch(path):
            session = await one_session(self._caller, unquote(one[1]), parse_query(query, OF_ONE, zone))
            return {MEMBER: msgspec.json.decode(session)}
        raise BadRequestError("Unrecognized endpoint")

    async def _prepared(self, method: str, path: str, query: str, data: object, name: str) -> Prepared:
        if method == "PATCH" and (one := _PATH.fullmatch(path)):
            return await changing.prepare(self._caller, unquote(one[1]), query, _object(data), name)
        if method == "POST" and path == "/session_backup":
            wanted = backing_up.assignment_of(_object(data))
            return await backing_up.prepare(self._caller, query, wanted, name)
        if method == "POST" and (two := _BACKUP_PATH.fullmatch(path)):
            if data is not None:
                raise BadRequestError("Request body is not allowed for this endpoint")
            wanted = backing_up.Assignment((unquote(two[1]),), unquote(two[2]))
            return await backing_up.prepare(self._caller, query, wanted, name)
        raise BadRequestError("Unrecognized endpoint")


def _object(data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise BadRequestError("data must be an object", field="data")
    return data


def _query(params: object) -> str:
    """``params`` as a query string: a list is one parameter with commas, true is a flag."""
    if not isinstance(params, dict):
        raise BadRequestError("params must be an object", field="params")
    pairs = []
    for name, value in params.items():
        values = value if isinstance(value, list) else [value]
        if any(isinstance(one, dict | list) or one is None for one in values):
            raise BadRequestError(f"params: {name} must be a text, a number, a flag or a list of them", field="params")
        if value is False:
            continue
        pairs.append((name, ",".join("" if one is True else str(one) for one in values)))
    return urlencode(pairs)
