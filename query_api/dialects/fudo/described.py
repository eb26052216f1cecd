"""What Fudo's doors take and give, for the OpenAPI document. A member that may be missing is UNSET by default."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from query_api.dialects.fudo.changing import TEXT_LIMIT
from query_api.dialects.fudo.model import ATTRIBUTES, DUMP_MODES, PROTOCOLS, STATUSES, Kind
from query_api.filters import LIST_LIMIT
from query_api.paging import REACH_LIMIT
from schemas.backups import Mark

Success = Literal["success"]
#: A bare flag.
Flag = Annotated[Literal["", "true", "false", "1", "0"], Meta(description="Counts by being there")]

_Fields = Annotated[str, Meta(description="Attributes to be shown, separated by commas; nulls are shown, too")]
_Filter = Annotated[str, Meta(description="attribute.operator(value,…) joined by commas, all of which must hold")]
_Order = Annotated[str, Meta(description="Attributes to order by, separated by commas; -name is descending")]
_Reveal = Annotated[Literal["active", "removed", "all"], Meta(description="Which sessions; active without it")]
_Limit = Annotated[int, Meta(ge=0, le=REACH_LIMIT, description="How many sessions; all of them without it")]
_Offset = Annotated[int, Meta(ge=0, le=REACH_LIMIT, description="How many to leave out first")]
_Text = Annotated[str, Meta(max_length=TEXT_LIMIT)]
_Id = Annotated[str, Meta(min_length=1, max_length=TEXT_LIMIT)]
_Time = Annotated[str, Meta(description="As 2022-04-05 16:06:07.313862+02; without a zone in that of the setting")]


class FudoNone(msgspec.Struct, kw_only=True):
    """No parameter at all."""


class FudoOneQuery(msgspec.Struct, kw_only=True):
    fields: _Fields | None = None
    reveal: _Reveal | None = None
    debug: Flag | None = None


class FudoWriteQuery(msgspec.Struct, kw_only=True):
    fields: _Fields | None = None
    debug: Flag | None = None


class FudoListQuery(msgspec.Struct, kw_only=True):
    fields: _Fields | None = None
    filter: _Filter | None = None
    order: _Order | None = None
    limit: _Limit | None = None
    offset: _Offset | None = None
    total_count: Flag | None = None
    reveal: _Reveal | None = None
    debug: Flag | None = None


class FudoML(msgspec.Struct, kw_only=True):
    """SessionsMLModel."""

    ml_threat_level: float | UnsetType = UNSET
    ml_threat_level_min: float | UnsetType = UNSET
    ml_threat_level_max: float | UnsetType = UNSET
    ml_converted_at: str | UnsetType = UNSET
    ml_finished_at: str | UnsetType = UNSET


class FudoBackup(Mark, kw_only=True, frozen=True):
    """How far the backup of a session to one target has come."""

    target: str


_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str,
    Kind.TIME: str,
    Kind.NUMBER: float,
    Kind.BOOLEAN: bool,
    Kind.ML: FudoML,
    Kind.BACKUPS: list[FudoBackup],
}
_CHOICES: dict[str, Any] = {
    "dump_mode": Literal[DUMP_MODES],
    "protocol": Literal[PROTOCOLS],
    "status": Literal[STATUSES],
}

FudoSession = msgspec.defstruct(
    "FudoSession",
    [(each.name, _CHOICES.get(each.name, _TYPES[each.kind]) | None | UnsetType, UNSET) for each in ATTRIBUTES],
    namespace={"__doc__": "SessionsModel. Attributes without a value are left out, unless they are asked for."},
    kw_only=True,
)


class FudoDebug(msgspec.Struct, kw_only=True):
    elapsed_ms: float


class FudoSessions(msgspec.Struct, kw_only=True):
    result: Success
    session: list[FudoSession]  # type: ignore[valid-type]
    total_count: int | UnsetType = UNSET
    debug: FudoDebug | UnsetType = UNSET
    next_offset: Annotated[int, Meta(description="Where to go on, when a list without limit was cut")] | UnsetType = (
        UNSET
    )


class FudoOneSession(msgspec.Struct, kw_only=True):
    result: Success
    session: FudoSession  # type: ignore[valid-type]
    debug: FudoDebug | UnsetType = UNSET


class FudoWritten(msgspec.Struct, kw_only=True):
    """``session``: the attributes that ``fields`` names. ``pending``: reads do not show the change yet."""

    result: Success
    session: FudoSession | UnsetType = UNSET  # type: ignore[valid-type]
    pending: bool | UnsetType = UNSET


class FudoMarked(msgspec.Struct, kw_only=True):
    result: Success
    session_ids: list[str]
    pending: bool | UnsetType = UNSET


class FudoChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be changed of a session; null takes away what was written before."""

    paused: bool | UnsetType = UNSET
    retention_locked: bool | UnsetType = UNSET
    pending_delete: bool | UnsetType = UNSET
    removed: Annotated[bool, Meta(description="Only true: a removed session stays removed")] | UnsetType = UNSET
    terminate_at: _Time | UnsetType | None = UNSET
    reason: _Text | UnsetType | None = UNSET
    login_reason: _Text | UnsetType | None = UNSET
    dump_mode: Literal[DUMP_MODES] | UnsetType | None = UNSET  # type: ignore[valid-type]
    status: Literal[STATUSES] | UnsetType | None = UNSET  # type: ignore[valid-type]


class FudoBackupAssignment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """SessionBackupAssignmentModel: one of the first two, and one of the others. The id of a target is its name."""

    session_id: _Id | UnsetType = UNSET
    session_ids: Annotated[list[_Id], Meta(min_length=1, max_length=LIST_LIMIT)] | UnsetType = UNSET
    backup_id: _Id | UnsetType = UNSET
    backup_name: _Id | UnsetType = UNSET


class FudoSpec(msgspec.Struct, kw_only=True):
    """What an attribute is; flags that are false are left out."""

    type: str
    readonly: bool | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    unique: bool | UnsetType = UNSET
    expensive: bool | UnsetType = UNSET


class FudoSessionSpec(msgspec.Struct, kw_only=True):
    result: Success
    session: dict[str, FudoSpec]


class FudoBackupSpec(msgspec.Struct, kw_only=True):
    result: Success
    session_backup: dict[str, FudoSpec]


_Simple = str | float | bool
#: ``{name}`` of a variable or ``{id.path}`` of an earlier answer may stand in every text.
_Value = _Simple | list[_Simple]


class FudoBatchParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a URL; a list is written with commas, true is a flag."""

    fields: _Value | UnsetType = UNSET
    filter: _Value | UnsetType = UNSET
    order: _Value | UnsetType = UNSET
    limit: _Value | UnsetType = UNSET
    offset: _Value | UnsetType = UNSET
    total_count: _Value | UnsetType = UNSET
    reveal: _Value | UnsetType = UNSET
    debug: _Value | UnsetType = UNSET


class FudoBatchRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Without an id it is request0, request1 … by its place."""

    endpoint: Annotated[str, Meta(pattern="^/", description="Below /api/v2, such as /session/{first.session.0.id}")]
    id: (
        Annotated[str, Meta(pattern="^[A-Za-z0-9:_-]{1,64}$", description="request0, request1 … without it")]
        | UnsetType
    ) = UNSET
    method: Literal["GET", "POST", "PATCH", "DELETE"] | UnsetType = UNSET
    params: FudoBatchParams | UnsetType = UNSET
    data: Annotated[dict[str, _Value | None], Meta(description="The body of a PATCH or POST")] | UnsetType = UNSET
    atomic: Annotated[bool, Meta(description="Instead of the batch's")] | UnsetType = UNSET


class FudoBatch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    requests: Annotated[list[FudoBatchRequest], Meta(min_length=1, max_length=LIST_LIMIT)]
    variables: dict[str, _Value] | UnsetType = UNSET
    atomic: Annotated[bool, Meta(description="All writes are made, or none")] | UnsetType = UNSET


class FudoBatchResponse(msgspec.Struct, kw_only=True):
    """The answer to one request, with the members it has by itself."""

    id: str
    result: Literal["success", "failure"]
    status: int
    message: str | UnsetType = UNSET
    session: FudoSession | list[FudoSession] | UnsetType = UNSET  # type: ignore[valid-type]
    session_ids: list[str] | UnsetType = UNSET
    total_count: int | UnsetType = UNSET
    pending: bool | UnsetType = UNSET


class FudoBatched(msgspec.Struct, kw_only=True):
    result: Success
    responses: list[FudoBatchResponse]
