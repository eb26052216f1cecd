"""The document as one page for people: plain HTML, without a script, nothing loaded from anywhere."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
code{font:14px/1.4 ui-monospace,monospace}summary{cursor:pointer;padding:.3rem 0}details{border-top:1px solid #ddd}
table{border-collapse:collapse;margin:.5rem 0 1rem}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
b{display:inline-block;min-width:4.5rem}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}details{border-color:#444}a{color:#8bf}}
"""


_CODE = re.compile(r"`([^`]+)`")


def page(document: Mapping[str, Any]) -> str:
    """One section per dialect, one entry per door; everything in the document is escaped."""
    info = document["info"]
    sections = "".join(
        f"<h2>{escape(tag['description'])}</h2>{''.join(_doors(document, tag['name']))}" for tag in document["tags"]
    )
    schemas = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code> {_prose(schema.get("description", ""))}'
        f"</summary>{_members(schema)}</details>"
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(info["title"])}</title>'
        f"<style>{_STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f'<p>{_prose(info["description"])} The same for programs: <a href="/openapi.json">openapi.json</a>.</p>'
        f"{sections}<h2>Schemas</h2>{schemas}</html>\n"
    )


def _doors(document: Mapping[str, Any], tag: str) -> Iterable[str]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if tag in operation["tags"]:
                yield _door(method.upper(), path, operation)


def _door(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [f"<p>{_prose(operation['description'])}</p>"] if "description" in operation else []
    parameters = operation["parameters"]
    if parameters:
        rows = [(one["name"], one["in"], _type(one["schema"]), one.get("description", "")) for one in parameters]
        parts.append(_table(("parameter", "in", "type", "meaning"), rows))
    bodies = {"body": operation.get("requestBody", {}), **operation["responses"]}
    rows = [
        (name, media, _type(content["schema"]), bodies[name].get("description", ""))
        for name in bodies
        for media, content in bodies[name].get("content", {}).items()
    ]
    parts.append(_table(("", "media type", "schema", "meaning"), rows))
    return (
        f"<details><summary><b>{method}</b> <code>{escape(path)}</code> {_prose(operation['summary'])}</summary>"
        f"{''.join(parts)}</details>"
    )


def _members(schema: Mapping[str, Any]) -> str:
    rows = [
        (name, "required" if name in schema.get("required", []) else "", _type(member), member.get("description", ""))
        for name, member in schema.get("properties", {}).items()
    ]
    return _table(("member", "", "type", "meaning"), rows)


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _type(schema: Mapping[str, Any]) -> _Html:
    """A schema in a few words, with a link where it has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return _Html(f'<a href="#{name}">{name}</a>')
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _Html(" or ".join(_type(one) for one in schema[several]))
    if "enum" in schema:
        return _Html(" | ".join(escape(repr(one)) for one in schema["enum"]))
    if schema.get("type") == "array":
        return _Html(f"list of {_type(schema.get('items', {}))}")
    bounds = [f"{name} {schema[name]}" for name in ("minimum", "maximum", "maxLength", "pattern") if name in schema]
    return _Html(escape(" ".join([str(schema.get("type", "anything")), *bounds])))


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}' for cell in row)}" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(head)}' for head in heads)}{body}</table>" if body else ""


def _cell(text: str) -> str:
    return text if isinstance(text, _Html) else _prose(text)


def _prose(text: str) -> str:
    """Text with code between backticks."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
