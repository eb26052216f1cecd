"""What the answers look like, for the OpenAPI document; tests hold real answers against it.

A member that may be missing is UNSET by default. The session's body is made of the catalogue of its properties.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from query_api.dialects.sps.aggregates import SpsBuckets
from query_api.dialects.sps.body import Tree, tree_of
from query_api.dialects.sps.fields import Field, Kind
from query_api.dialects.sps.indexing import SpsIndexingItem
from query_api.dialects.sps.session_fields import SESSION

_TYPES: dict[Kind, Any] = {
    Kind.KEYWORD: str | None,
    Kind.TEXT: str | None,
    Kind.TIME: str | None,
    Kind.INT: int | None,
    Kind.BOOL: bool | None,
}


def _struct(name: str, tree: Tree) -> type[msgspec.Struct]:
    """A struct for an object whose members depend on what was asked for."""
    members = []
    for member, inner in tree.items():
        if isinstance(inner, Field):
            type: Any = inner.type if inner.raw else _TYPES[inner.kind]
        else:
            type = _struct(f"{name}{member.title().replace('_', '')}", inner)
        members.append((member, type | UnsetType if type is not None else None | UnsetType, UNSET))
    return msgspec.defstruct(name, members, forbid_unknown_fields=True)


SpsSessionBody: Any = _struct("SpsSessionBody", tree_of(SESSION.fields.values()))


class SpsHref(msgspec.Struct, forbid_unknown_fields=True):
    href: str


class SpsObjectMeta(msgspec.Struct, forbid_unknown_fields=True):
    href: str
    parent: str | UnsetType | None = UNSET
    remaining_seconds: Annotated[int, Meta(description="Until the login ends, idle")] | UnsetType = UNSET


class SpsListMeta(msgspec.Struct, forbid_unknown_fields=True):
    first: str
    href: str
    last: str
    limit: int
    next: Annotated[str | None, Meta(description="null on the last page")]
    offset: int
    parent: str
    previous: str | None
    match_count: Annotated[int, Meta(description="Items of all pages")] | UnsetType = UNSET


class SpsSessionsMeta(msgspec.Struct, forbid_unknown_fields=True):
    """By offset: match_count and offset. Of a snapshot: search_after and remaining_seconds, first and last null."""

    fields: list[str]
    first: str | None
    href: str
    last: str | None
    limit: int
    next: str | None
    parent: str
    previous: str | None
    match_count: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    remaining_seconds: int | UnsetType = UNSET
    search_after: int | UnsetType | None = UNSET


class SpsSessionItem(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    meta: SpsHref
    body: SpsSessionBody | UnsetType = UNSET


class SpsSessions(msgspec.Struct, forbid_unknown_fields=True):
    items: list[SpsSessionItem]
    meta: SpsSessionsMeta


class SpsSession(msgspec.Struct, forbid_unknown_fields=True):
    body: SpsSessionBody
    key: str
    meta: SpsObjectMeta


class SpsCount(msgspec.Struct, forbid_unknown_fields=True):
    count: int


class SpsSnapshotId(msgspec.Struct, forbid_unknown_fields=True):
    snapshot: str


class SpsSnapshot(msgspec.Struct, forbid_unknown_fields=True):
    body: SpsSnapshotId
    key: str
    meta: SpsObjectMeta


class SpsCounted(msgspec.Struct, forbid_unknown_fields=True):
    body: SpsBuckets
    key: str
    meta: SpsObjectMeta


class SpsEvent(msgspec.Struct, forbid_unknown_fields=True):
    action: str
    channels_id: str
    content: str
    record_id: int
    time: Annotated[str, Meta(description="UTC, without zone")]
    type: str


class SpsEvents(msgspec.Struct, forbid_unknown_fields=True):
    items: list[SpsEvent]
    meta: SpsListMeta


class SpsAlert(msgspec.Struct, forbid_unknown_fields=True):
    alert_type: str
    channel_id: str
    matched_action: str
    matched_content: str
    matched_regexp: str
    record_id: int
    rule_name: str
    time: str


class SpsAlerts(msgspec.Struct, forbid_unknown_fields=True):
    items: list[SpsAlert]
    meta: SpsListMeta


class SpsChannelBody(
    msgspec.Struct,
    forbid_unknown_fields=True,
    rename={
        "originator_address": "originator.address",
        "originator_port": "originator.port",
        "connected_address": "connected.address",
        "connected_port": "connected.port",
    },
):
    type: str
    verdict: Literal["accept"]
    start_time: str
    end_time: str
    duration: Annotated[int, Meta(description="Seconds")]
    command: str | UnsetType = UNSET
    scp_path: str | UnsetType = UNSET
    subsystem_name: str | UnsetType = UNSET
    originator_address: str | UnsetType = UNSET
    originator_port: int | UnsetType = UNSET
    connected_address: str | UnsetType = UNSET
    connected_port: int | UnsetType = UNSET


class SpsChannel(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    meta: SpsObjectMeta
    body: SpsChannelBody


class SpsChannels(msgspec.Struct, forbid_unknown_fields=True):
    items: list[SpsChannel]
    meta: SpsListMeta


class SpsIndexing(msgspec.Struct, forbid_unknown_fields=True):
    items: list[SpsIndexingItem]
    meta: SpsListMeta


class SpsDownload(msgspec.Struct, forbid_unknown_fields=True):
    from_api: bool
    ip_address: str
    time: str
    username: str


class SpsDownloads(msgspec.Struct, forbid_unknown_fields=True):
    items: list[SpsDownload]
    meta: SpsListMeta


class SpsEntry(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    meta: SpsHref


class SpsEntries(msgspec.Struct, forbid_unknown_fields=True):
    items: list[SpsEntry]
    meta: SpsObjectMeta


class SpsInfoBody(msgspec.Struct, forbid_unknown_fields=True):
    domainname: str
    hostname: str
    nickname: str | None
    plugin_sdk_version: str
    support_link: str
    analytics_enabled: bool | UnsetType = UNSET
    build_date: str | UnsetType | None = UNSET
    config_hash: str | UnsetType | None = UNSET
    firmware_version: str | UnsetType = UNSET
    roles: list[str] | UnsetType = UNSET
    version: str | UnsetType = UNSET


class SpsInfo(msgspec.Struct, forbid_unknown_fields=True):
    body: SpsInfoBody
    key: str
    meta: SpsObjectMeta


class SpsAuthentication(msgspec.Struct, forbid_unknown_fields=True):
    meta: SpsObjectMeta


class SpsLoginMethod(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    type: str


class SpsLoginMethods(msgspec.Struct, forbid_unknown_fields=True):
    login_methods: list[SpsLoginMethod]
    meta: SpsObjectMeta


class SpsLoginTypes(msgspec.Struct, forbid_unknown_fields=True):
    types: list[str]
    meta: SpsObjectMeta
