"""Every setting of Sojourn in one list: its type, default and meaning.

A value comes from the command line, else from the environment (``SOJOURN_KAFKA_BOOTSTRAP`` for ``kafka.bootstrap``),
else from a TOML file (``SOJOURN_CONFIG``, or ``sojourn.toml`` in the working directory), else it is the default.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta


class SettingsError(ValueError):
    """A setting is unknown or has a value that does not fit; the text names it and its origin."""


#: Seconds of silence that close a session, by protocol; "" is every other protocol (session-semantics: idle limits).
IDLE_SECONDS: Mapping[str, float] = {
    "": 300.0,
    "tcp": 300.0,
    "udp": 60.0,
    "ssh": 3600.0,
    "telnet": 3600.0,
    "ftp": 3600.0,
    "rdp": 3600.0,
}


class Kafka(msgspec.Struct, frozen=True, kw_only=True):
    bootstrap: Annotated[str, Meta(description="Brokers, host:port separated by commas")] = "127.0.0.1:9092"
    embedded: Annotated[bool, Meta(description="The broker is the embedded Tansu: memory only, loopback only")] = True
    partitions: Annotated[
        int, Meta(ge=1, le=1024, description="Partitions of every keyed topic (12 suits Apache Kafka)")
    ] = 4
    replication: Annotated[int, Meta(ge=1, description="Replicas of each partition")] = 1
    contiguous: Annotated[
        bool, Meta(description="Offsets without holes are expected and holes read again; off for Apache Kafka")
    ] = True
    idempotence: Annotated[bool, Meta(description="Idempotent producers; Apache Kafka has them, Tansu has not")] = False
    session_timeout: Annotated[
        float, Meta(gt=0, description="Seconds until a silent consumer loses its partitions; Kafka's minimum is 6")
    ] = 3.0
    heartbeat_interval: Annotated[float, Meta(gt=0, description="Seconds between heartbeats to the group")] = 0.5
    commit_interval: Annotated[float, Meta(gt=0, description="Seconds between commits of the worker")] = 0.5
    fetch_max_wait_ms: Annotated[int, Meta(ge=1, description="How long a broker may hold an empty fetch")] = 100
    max_message_bytes: Annotated[int, Meta(ge=1024, description="Largest message that is published")] = 1_048_576
    broker_memory: Annotated[
        int, Meta(ge=0, description="Bytes of memory at which sojourn up drains the embedded broker and starts it anew")
    ] = 1_073_741_824
    hole_wait: Annotated[
        float, Meta(ge=0, description="Seconds a hole in the offsets is read again before it is passed")
    ] = 3.0


class ClickHouse(msgspec.Struct, frozen=True, kw_only=True):
    url: Annotated[str, Meta(description="HTTP interface")] = "http://127.0.0.1:8123"
    database: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Database of all tables")] = (
        "sojourn"
    )
    cluster: Annotated[str, Meta(description="Cluster for ON CLUSTER and Replicated engines; empty for one server")] = (
        ""
    )
    writer: Annotated[str, Meta(description="User that inserts and applies the schema")] = "writer"
    writer_password: Annotated[str, Meta(description="Its password", extra={"secret": True})] = ""
    reader: Annotated[str, Meta(description="User the query API reads as")] = "api"
    reader_password: Annotated[str, Meta(description="Its password", extra={"secret": True})] = ""
    api_writer: Annotated[str, Meta(description="User the query API keeps its own tables as: snapshots")] = "api_writer"
    api_writer_password: Annotated[str, Meta(description="Its password", extra={"secret": True})] = ""
    events_ttl_days: Annotated[int, Meta(ge=1, description="Days an event is kept after it was stored")] = 365
    sessions_ttl_days: Annotated[int, Meta(ge=1, description="Days a session is kept after its last change")] = 365


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    grace: Annotated[float, Meta(ge=0, description="Seconds of event time a record waits for its partner")] = 300.0
    idle: Annotated[
        dict[str, float],
        Meta(description="Seconds of silence that close a session, by protocol; '' is the default, 0 never closes"),
    ] = msgspec.field(default_factory=lambda: dict(IDLE_SECONDS))
    idle_device: Annotated[float, Meta(ge=0, description="The same for devices (MAC); 0 never closes")] = 0.0
    max_duration: Annotated[
        float, Meta(ge=0, description="Seconds after which a session is closed anyway; 0 never")
    ] = 86_400.0
    interim: Annotated[float, Meta(ge=0, description="Seconds of event time between versions of a long session")] = (
        1800.0
    )
    max_open: Annotated[int, Meta(ge=1, description="Open sessions per worker; the oldest idle is evicted")] = 1_000_000
    sweep: Annotated[
        float, Meta(ge=0, description="Seconds of wall clock without a record after which a live sensor is silent")
    ] = 60.0


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    batch: Annotated[int, Meta(ge=1, description="Records of one partition handled at once")] = 4000
    buffer: Annotated[int, Meta(ge=1, description="Batches waiting per agent before fetching stops")] = 16


class Sink(msgspec.Struct, frozen=True, kw_only=True):
    flush_rows: Annotated[int, Meta(ge=1, description="Rows of one partition that are inserted at once")] = 50_000
    flush_ms: Annotated[int, Meta(ge=1, description="Milliseconds a row waits at most before it is inserted")] = 200
    flush_ms_busy: Annotated[int, Meta(ge=1, description="The same while ClickHouse has many parts")] = 2000
    busy_parts: Annotated[int, Meta(ge=1, description="Active parts of a table from which on it counts as busy")] = 150
    alerts: Annotated[
        dict[str, str],
        Meta(description="Rules, name to RE2 regex: an event in whose content it is found is an alert of that name"),
    ] = msgspec.field(default_factory=dict)


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    max_share: Annotated[
        float, Meta(ge=0, le=1, description="Share of bad records in the window above which the worker ends; 1 never")
    ] = 0.99
    window: Annotated[int, Meta(ge=1, description="Records of one partition that the share is judged over")] = 1_000_000
    max_consecutive: Annotated[
        int, Meta(ge=0, description="Bad records in a row above which the worker ends; 0 is no limit")
    ] = 0


class Http(msgspec.Struct, frozen=True, kw_only=True):
    listen: Annotated[str, Meta(description="host:port the query API listens on")] = "127.0.0.1:8080"
    body_bytes: Annotated[int, Meta(ge=1, description="Largest request body")] = 1_048_576
    ingest_bytes: Annotated[int, Meta(ge=1, description="The same where sensors hand in records, unpacked")] = 4_194_304
    ingest_lines: Annotated[int, Meta(ge=1, description="Lines of such a body")] = 10_000
    url_bytes: Annotated[int, Meta(ge=1, description="Longest request line")] = 8192
    query_seconds: Annotated[float, Meta(gt=0, description="Time limit of one query")] = 10.0
    query_memory: Annotated[int, Meta(ge=1, description="Memory limit of one query, bytes")] = 2_147_483_648
    query_rows: Annotated[int, Meta(ge=1, description="Rows one query may read")] = 2_000_000_000
    concurrency: Annotated[int, Meta(ge=1, description="Requests answered at once; one more is answered 503")] = 16
    connections: Annotated[int, Meta(ge=1, description="Connections at once; one more is closed")] = 2500
    live_clients: Annotated[
        int, Meta(ge=1, description="WebSockets and streams of events at once; one more is answered 503")
    ] = 2000
    live_clients_of_one: Annotated[
        int, Meta(ge=1, description="The same of one user or token; one more is answered 429")
    ] = 200
    concurrency_of_one: Annotated[
        int, Meta(ge=1, description="The same of one user or token; one more is answered 429")
    ] = 8
    tls_cert: Annotated[str, Meta(description="File of the certificate (PEM, with its chain); empty is no TLS")] = ""
    tls_key: Annotated[str, Meta(description="File of the certificate's key (PEM)")] = ""
    tls_self_signed: Annotated[bool, Meta(description="TLS with a certificate of its own, made in the data folder")] = (
        False
    )
    auth_file: Annotated[
        str, Meta(description="File of users and tokens; empty is credentials.json in the data folder")
    ] = ""
    login_idle: Annotated[float, Meta(gt=0, description="Seconds without a request that end a login by cookie")] = (
        1200.0
    )
    names: Annotated[
        str, Meta(description="Names by which clients reach this API besides those of loopback, separated by commas")
    ] = ""
    origins: Annotated[
        str, Meta(description="Origins whose pages may use this API, https://name[:port] separated by commas")
    ] = ""
    write_seconds: Annotated[
        float, Meta(gt=0, description="Seconds that a write waits for Kafka, and then for reads to show it")
    ] = 5.0
    unpaged_rows: Annotated[
        int, Meta(ge=-1, description="Rows of an answer without paging; 0 is no limit, -1 none on loopback, else 10⁶")
    ] = -1
    unpaged_window: Annotated[int, Meta(ge=1, description="Rows read at once while such an answer is streamed")] = (
        100_000
    )


class Formats(msgspec.Struct, frozen=True, kw_only=True):
    netalertx_timezone: Annotated[
        str, Meta(min_length=1, description="Zone of the times in NetAlertX's tables, as produce reads them")
    ] = "UTC"


class Fudo(msgspec.Struct, frozen=True, kw_only=True):
    timezone: Annotated[
        str, Meta(min_length=1, description="Zone of the times in Fudo's API, as Europe/Warsaw; ClickHouse's and ours")
    ] = "UTC"


class NetAlertX(msgspec.Struct, frozen=True, kw_only=True):
    profile: Annotated[
        Literal["document", "product"],
        Meta(description="Whose form dates, durations and ranges of NetAlertX's API have: its document's or its own"),
    ] = "document"
    timezone: Annotated[
        str,
        Meta(min_length=1, description="Zone of the times in NetAlertX's API, and of its days; ClickHouse's and ours"),
    ] = "UTC"


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    targets: Annotated[
        dict[str, str],
        Meta(description="Backup targets by name: a folder, or https://ENDPOINT/BUCKET[/PREFIX] of S3"),
    ] = {}
    s3_region: Annotated[str, Meta(description="Region of the targets in S3")] = "us-east-1"
    s3_key: Annotated[str, Meta(description="Access key of the targets in S3")] = ""
    s3_secret: Annotated[str, Meta(description="Its secret", extra={"secret": True})] = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, by section. ``load`` makes one."""

    data: Annotated[str, Meta(min_length=1, description="Folder of the embedded servers and of resume positions")] = (
        "sojourn-data"
    )
    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    sessions: Sessions = Sessions()
    worker: Worker = Worker()
    sink: Sink = Sink()
    dead_letters: DeadLetters = DeadLetters()
    http: Http = Http()
    formats: Formats = Formats()
    fudo: Fudo = Fudo()
    netalertx: NetAlertX = NetAlertX()
    backup: Backup = Backup()


class Setting(msgspec.Struct, frozen=True):
    """One setting as ``sojourn settings`` prints it."""

    name: str
    value: Any
    origin: str
    help: str
    secret: bool

    @property
    def variable(self) -> str:
        return variable_of(self.name)


def variable_of(name: str) -> str:
    """The environment variable of a setting: ``kafka.bootstrap`` → ``SOJOURN_KAFKA_BOOTSTRAP``."""
    return "SOJOURN_" + name.upper().replace(".", "_")


#: Environment variables that begin like ours and are no settings.
_NOT_SETTINGS = frozenset({"SOJOURN_CONFIG"})


def _fields() -> dict[str, tuple[Any, Any, str, bool]]:
    """Dotted name → (type with its constraints, default, help, secret)."""
    found: dict[str, tuple[Any, Any, str, bool]] = {}

    def walk(struct: type[msgspec.Struct], default: msgspec.Struct, prefix: str) -> None:
        for field in msgspec.structs.fields(struct):
            value = getattr(default, field.name)
            if isinstance(value, msgspec.Struct):
                walk(type(value), value, f"{prefix}{field.name}.")
                continue
            info = msgspec.inspect.type_info(field.type)
            extra = info.extra or {} if isinstance(info, msgspec.inspect.Metadata) else {}
            schema = info.extra_json_schema or {} if isinstance(info, msgspec.inspect.Metadata) else {}
            found[prefix + field.name] = (field.type, value, schema.get("description", ""), bool(extra.get("secret")))

    walk(Settings, Settings(), "")
    return found


def load(
    command_line: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> tuple[Settings, list[Setting]]:
    """The settings in force, and where each came from.

    ``command_line`` maps dotted names to values and wins; None values are ignored. Raises SettingsError.
    """
    environ = os.environ if environ is None else environ
    fields = _fields()
    if file is None:
        named = environ.get("SOJOURN_CONFIG")
        file = Path(named) if named else Path("sojourn.toml")
        if named and not file.is_file():
            raise SettingsError(f"SOJOURN_CONFIG: there is no file {named}")
    from_file = _flatten(_read(file), fields, str(file)) if file.is_file() else {}
    by_variable = {variable_of(name): name for name in fields}
    unknown = sorted(
        name
        for name in environ
        if name.startswith("SOJOURN_") and name not in by_variable and name not in _NOT_SETTINGS
    )
    if unknown:
        raise SettingsError(f"{unknown[0]}: no such setting; `sojourn settings` lists them all")

    given = {name: value for name, value in (command_line or {}).items() if value is not None}
    tree: dict[str, Any] = {}
    listed = []
    for name, (kind, default, text, secret) in fields.items():
        variable = variable_of(name)
        if name in given:
            value, origin = _convert(given[name], kind, name, "command line"), "command line"
        elif variable in environ:
            value, origin = _convert(_literal(environ[variable], default), kind, variable, "environment"), "environment"
        elif name in from_file:
            value, origin = _convert(from_file[name], kind, name, str(file)), str(file)
        else:
            value, origin = default, "default"
        if name == "kafka.bootstrap":
            _check_brokers(value, name, origin)
        elif name in ("fudo.timezone", "netalertx.timezone", "formats.netalertx_timezone"):
            _check_zone(value, name, origin)
        listed.append(Setting(name, value, origin, text, secret))
        *path, leaf = name.split(".")
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        place[leaf] = value
    return msgspec.convert(tree, Settings), listed


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{file}: {error}") from error


def _flatten(tree: dict[str, Any], known: Mapping[str, Any], origin: str, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = prefix + key
        if name in known:
            flat[name] = value
        elif isinstance(value, dict):
            flat.update(_flatten(value, known, origin, name + "."))
        else:
            raise SettingsError(f"{origin}: {name}: no such setting; `sojourn settings` lists them all")
    return flat


def _literal(text: str, default: Any) -> Any:
    """Environment text as the type of the default: JSON for tables, as it stands for text."""
    if isinstance(default, dict):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    if isinstance(default, bool):
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower(), text)
    return text


def _convert(value: Any, kind: Any, name: str, origin: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        choices = msgspec.json.schema(kind).get("enum")
        expected = f"; one of {', '.join(choices)} was expected" if choices else ""
        raise SettingsError(f"{name} ({origin}): {error}{expected}") from error


def _check_zone(text: str, name: str, origin: str) -> None:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(f"{name} ({origin}): {text!r} is no zone; a name as Europe/Warsaw was expected") from error


def _check_brokers(text: str, name: str, origin: str) -> None:
    """The client of Kafka fails on a port above 65535 with an error of the socket, long after nobody can say why."""
    for broker in text.split(","):
        host, colon, port = broker.strip().rpartition(":")
        fits = bool(host) and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535 if colon else bool(port)
        if not fits:
            raise SettingsError(f"{name} ({origin}): {broker!r} is no broker; HOST:PORT,… was expected")
