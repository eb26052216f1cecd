"""The OpenAPI 3.1 document, made of doors."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from query_api.openapi.asked import bare
from query_api.openapi.doors import Door
from query_api.owners import OWNERS, Owner, Shown, is_public, owner_of

#: Of any body (query_api.bodies); OpenAPI has no member for it.
_CODING = "It may be packed: `Content-Encoding: gzip` or `deflate`."
_REF: Final = "#/components/schemas/{name}"
_Text = Annotated[str, Meta(min_length=1)]

#: How each owner's credentials look in the document.
_SCHEMES: Mapping[Shown, tuple[str, dict[str, str]]] = {
    "bearer": ("token", {"type": "http", "scheme": "bearer"}),
    "bearer_exact": ("token", {"type": "http", "scheme": "bearer"}),
    "raw": ("key", {"type": "apiKey", "in": "header", "name": "Authorization"}),
    "query": ("query", {"type": "apiKey", "in": "query", "name": "token"}),
    "cookie": ("login", {"type": "apiKey", "in": "cookie", "name": "session_id"}),
}

_BASIC = ("basic", {"type": "http", "scheme": "basic"})

_DESCRIPTION = (
    "Sessions and events of sensors, in the APIs of the products whose clients ask for them. While there are no"
    " credentials everybody on this machine may ask. Else Honeytrap's and Sojourn's own doors take"
    " `Authorization: Bearer TOKEN` or the cookie of an SPS login, NetAlertX's `Authorization: Bearer TOKEN` or"
    " `?token=TOKEN`, Fudo's `Authorization: TOKEN`, and SPS' the cookie that `GET /api/authentication` gives."
)
#: Where a rule comes from is for readers of the source.
_SOURCE = re.compile(r" \((?:[a-z]+-facts|hard-questions)[^)]*\)")
_OWNERS_WORDS = {
    "honeytrap": "Honeytrap's HTTP API",
    "netalertx": "NetAlertX's sessions",
    "fudo": "Fudo's API v2",
    "sps": "One Identity SPS' audit API",
    "sojourn": "Sojourn's own",
}


def document(doors: Iterable[Door], version: str) -> dict[str, Any]:
    """All doors, with every schema they need among the components."""
    doors = sorted(doors, key=lambda door: (door.template, door.method))
    schemas = _Schemas(_types(doors))
    paths: dict[str, dict[str, Any]] = {}
    for door in doors:
        paths.setdefault(door.template, {})[door.method.lower()] = _operation(door, schemas)
    used = {owner_of(door.template).name for door in doors}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sojourn",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": owner.name, "description": _OWNERS_WORDS[owner.name]} for owner in OWNERS if owner.name in used
        ],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": dict([*_SCHEMES.values(), _BASIC]),
        },
    }


class _Schemas:
    """JSON Schemas of types; the structs among them by reference."""

    def __init__(self, types: Sequence[Any]) -> None:
        found, self.components = msgspec.json.schema_components(types, ref_template=_REF)
        for component in self.components.values():
            if "description" in component:
                component["description"] = _words(component["description"])
        self._of = {_key(kind): schema for kind, schema in zip(types, found, strict=True)}

    def __getitem__(self, kind: Any) -> dict[str, Any]:
        return self._of[_key(kind)]


def _words(docstring: str) -> str:
    """A docstring as Markdown, which descriptions are."""
    return _SOURCE.sub("", inspect.cleandoc(docstring)).replace("``", "`")


def _key(kind: Any) -> str:
    # Annotated types compare by their annotations, which are not all hashable.
    return repr(kind)


def _types(doors: Iterable[Door]) -> list[Any]:
    found: list[Any] = [owner.error for owner in OWNERS]
    for door in doors:
        found += [kind for kind in (door.body, door.answer, door.refusal, door.unavailable) if kind is not None]
        found += door.headers.values()
        found += [door.variables.get(name, _Text) for name in door.names]
        if door.query is not None:
            found += [field.type for field in msgspec.structs.fields(door.query)]
    return list({_key(kind): kind for kind in found}.values())


def _operation(door: Door, schemas: _Schemas) -> dict[str, Any]:
    owner = owner_of(door.template)
    operation: dict[str, Any] = {
        "tags": [owner.name],
        "operationId": _identifier(door),
        "summary": door.summary,
        "parameters": [*_variables(door, schemas), *_parameters(door, schemas), *_headers(door, schemas)],
        "responses": _responses(door, owner, schemas),
        "security": _security(door, owner),
    }
    if door.text:
        operation["description"] = door.text
    if door.body is not None:
        operation["requestBody"] = {
            "required": _has_required(door.body),
            "description": _CODING,
            "content": {"application/json": {"schema": schemas[door.body]}},
        }
    elif door.takes:
        operation["requestBody"] = {
            "required": True,
            "description": f"{'; '.join(dict.fromkeys(door.takes.values()))}. {_CODING}",
            "content": {media: {"schema": {"type": "string"}} for media in door.takes},
        }
    return operation


def _identifier(door: Door) -> str:
    # A path with a slash at its end is another one.
    words = [*(word.strip("{}_") for word in door.template.split("/")), "slash" if door.template.endswith("/") else ""]
    return "_".join([door.method.lower(), *(word.replace("-", "_").replace(".", "_") for word in words if word)])


def _variables(door: Door, schemas: _Schemas) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, **_described(schemas[door.variables.get(name, _Text)])}
        for name in door.names
    ]


def _parameters(door: Door, schemas: _Schemas) -> list[dict[str, Any]]:
    if door.query is None:
        return []
    found = []
    for field in msgspec.structs.fields(door.query):
        parameter: dict[str, Any] = {"name": field.encode_name, "in": "query", "required": field.required}
        parameter |= _described(_present(schemas[field.type]))
        if isinstance(bare(msgspec.inspect.type_info(field.type)), msgspec.inspect.ListType):
            parameter |= {"style": "form", "explode": True}
        found.append(parameter)
    return found


def _headers(door: Door, schemas: _Schemas) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, **_described(schemas[kind])}
        for name, kind in door.headers.items()
    ]


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """The description belongs to the parameter, the rest to its schema."""
    rest = {name: value for name, value in schema.items() if name != "description"}
    found: dict[str, Any] = {"schema": rest}
    if "description" in schema:
        found["description"] = schema["description"]
    return found


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """What a parameter is when it is there: a URL has no null."""
    options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if not options:
        return schema
    others = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**others, **options[0]} if len(options) == 1 else {**others, "anyOf": options}


def _responses(door: Door, owner: Owner, schemas: _Schemas) -> dict[str, Any]:
    content = {media: {"schema": {"type": "string"}} for media in door.media}
    if door.answer is not None:
        content = {"application/json": {"schema": schemas[door.answer]}, **content}
    success: dict[str, Any] = {"description": "; ".join(door.media.values()) or "Success"}
    if content:
        success["content"] = content
    error = {"application/json": {"schema": schemas[owner.error]}}
    away = {"application/json": {"schema": schemas[door.unavailable]}} if door.unavailable is not None else error
    pending = {**success, "description": "Acknowledged; reads will show it soon"}
    return {
        str(door.status): success,
        **({"202": pending} if door.writes else {}),
        **({"400": _refused(door, owner, schemas)} if door.refusal is not None else {}),
        "4XX": {"description": "The request cannot be answered; the words say why", "content": error},
        "503": {
            "description": "A dependency is away, or a limit is reached: try again",
            "headers": {"Retry-After": {"description": "Seconds", "required": True, "schema": {"type": "string"}}},
            "content": away,
        },
    }


def _refused(door: Door, owner: Owner, schemas: _Schemas) -> dict[str, Any]:
    either = {"anyOf": [schemas[door.refusal], schemas[owner.error]]}
    return {
        "description": "Nothing of it was done; the words say why",
        "content": {"application/json": {"schema": either}},
    }


def _security(door: Door, owner: Owner) -> list[dict[str, list[str]]]:
    if door.logs_in:
        # Optional: a server without credentials lets anybody in.
        return [{_BASIC[0]: []}, {}]
    if is_public(door.method, door.template):
        return []
    return [{_SCHEMES[shown][0]: []} for shown in owner.shown]


def _has_required(body: type[msgspec.Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(body))
