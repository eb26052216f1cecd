"""The body of a batch, checked as a whole: which requests, in which order, and which belong together."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from query_api.dialects.fudo.request import OF_LIST
from query_api.documents import has_characters_only, shown
from query_api.errors import BadRequestError
from query_api.filters import checked_list

_MEMBERS = frozenset({"atomic", "variables", "requests"})
_OF_REQUEST = frozenset({"id", "method", "endpoint", "params", "data", "atomic"})
_ID = re.compile(r"[A-Za-z0-9:_-]{1,64}", re.ASCII)
_METHODS = ("GET", "POST", "PATCH", "DELETE")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a batch. ``atomic``: it is made together with all others that are, or not at all."""

    id: str
    method: str
    endpoint: str
    params: Mapping[str, Any] = {}
    data: Mapping[str, Any] | None = None
    atomic: bool = False


class Batch(msgspec.Struct, frozen=True):
    variables: Mapping[str, object]
    parts: list[Part]


def parse(body: Mapping[str, Any]) -> Batch:
    """Raises BadRequestError that names the member."""
    _known(body, _MEMBERS, "")
    atomic = _boolean(body, "atomic", "", False)
    variables = _values(body, "variables", "")
    if not all(_ID.fullmatch(name) for name in variables):
        raise BadRequestError("variables must have names of A-Z a-z 0-9 - : _", field="variables")
    requests = body.get("requests")
    if not isinstance(requests, list) or not requests:
        raise BadRequestError("requests must be a list of at least one request", field="requests")
    checked_list(requests, "requests")
    parts: list[Part] = []
    names = set(variables)
    for number, one in enumerate(requests):
        part = _part(one, number, atomic)
        if part.id in names:
            raise BadRequestError(f"requests.{number}.id: {part.id} is used already", field=f"requests.{number}.id")
        names.add(part.id)
        parts.append(part)
    return Batch(variables, parts)


def _part(given: object, number: int, atomic: bool) -> Part:
    where = f"requests.{number}"
    if not isinstance(given, dict):
        raise BadRequestError(f"{where} must be an object", field=where)
    _known(given, _OF_REQUEST, f"{where}.")
    name = given.get("id", f"request{number}")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise BadRequestError(f"{where}.id must be 1 to 64 of A-Z a-z 0-9 - : _", field=f"{where}.id")
    method = given.get("method", "GET")
    if method not in _METHODS:
        raise BadRequestError(f"{where}.method must be one of {', '.join(_METHODS)}", field=f"{where}.method")
    endpoint = given.get("endpoint")
    if not isinstance(endpoint, str) or not endpoint.startswith("/") or not has_characters_only(endpoint):
        raise BadRequestError(f"{where}.endpoint must be a path such as /session", field=f"{where}.endpoint")
    params = _values(given, "params", f"{where}.")
    _known(params, OF_LIST, f"{where}.params.")
    return Part(
        id=name,
        method=method,
        endpoint=endpoint,
        params=params,
        data=_values(given, "data", f"{where}.", null=True) if "data" in given else None,
        atomic=_boolean(given, "atomic", f"{where}.", atomic),
    )


def _values(given: Mapping[str, Any], name: str, where: str, *, null: bool = False) -> dict[str, Any]:
    """An object of texts, numbers, true, false and lists of them; nothing when there is none of that name."""
    found = given.get(name, {})
    if not isinstance(found, dict):
        raise BadRequestError(f"{where}{name} must be an object", field=f"{where}{name}")
    for member, value in found.items():
        values = value if isinstance(value, list) else [value]
        if not all(_is_plain(one) or (null and value is None) for one in values):
            raise BadRequestError(
                f"{where}{name}.{shown(member)} must be a text, a number, true, false, or a list of them",
                field=f"{where}{name}",
            )
    return found


def _is_plain(value: object) -> bool:
    return has_characters_only(value) if isinstance(value, str) else isinstance(value, int | float)


def _known(given: Mapping[str, Any], names: frozenset[str], where: str) -> None:
    for name in given:
        if name not in names:
            known = ", ".join(sorted(names))
            raise BadRequestError(f"there is no member {where}{shown(name)}; known are {known}", field=shown(name))


def _boolean(given: Mapping[str, Any], name: str, where: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise BadRequestError(f"{where}{name} must be true or false", field=f"{where}{name}")
    return value
