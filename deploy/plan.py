"""What one ``sojourn up`` will run: which servers, where, and the processes of the pipeline."""

import os
import sys
from pathlib import Path

import msgspec

from deploy.addresses import Address, AddressError, loopback_address, parse_address, port_error
from deploy.child import Child
from deploy.configuration import configure, environment_for_children
from deploy.embedded.broker import prepare_broker
from deploy.embedded.clickhouse import EmbeddedClickHouse, prepare_clickhouse
from deploy.errors import CannotStartError
from deploy.exposure import check_api
from deploy.sizes import parse_size
from query_api.tls import is_on
from schemas.backups import places
from schemas.settings import Settings
from stream_processors.sink.alerts import alert_rules

#: Native port of the embedded ClickHouse above its HTTP port: 8123 + 877 = 9000, ClickHouse's usual pair.
NATIVE_OFFSET = 877


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``sojourn up`` as typed; None where not given."""

    data: str | None = None
    http: str | None = None
    kafka: str | None = None
    clickhouse: str | None = None
    clickhouse_native: str | None = None
    kafka_bootstrap: str | None = None
    clickhouse_url: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_self_signed: bool = False
    broker_memory: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Children are made, not started. ``broker`` and ``clickhouse`` are None when external servers are used."""

    settings: Settings
    #: SHA-256 of the query API's certificate when it is one of its own.
    certificate: str
    http: Address
    kafka: Address | None
    broker: Child | None
    clickhouse: EmbeddedClickHouse | None
    worker: Child
    sink: Child
    api: Child
    #: Only where there are backup targets.
    backup: Child | None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.http.reachable()}"

    @property
    def door(self) -> str:
        """Where the query API is, and what its own certificate must look like to whoever goes there first."""
        return f"{self.url} (certificate SHA-256 {self.certificate})" if self.certificate else self.url

    @property
    def tls(self) -> bool:
        """Whether the query API speaks https."""
        return is_on(self.settings.http)

    @property
    def pipeline(self) -> tuple[Child, ...]:
        """In the order they are drained: first nobody asks, then nothing new is made, then the rest is stored."""
        return (self.api, *([self.backup] if self.backup else []), self.worker, self.sink)

    def kafka_clients(self) -> list[int]:
        """Pids of this process and of the pipeline's."""
        return [os.getpid(), *(child.pid for child in self.pipeline if child.pid is not None and child.running)]

    @property
    def children(self) -> list[Child]:
        """Everything that is started, servers first."""
        servers = [self.broker, self.clickhouse.child if self.clickhouse else None]
        return [*(server for server in servers if server), *self.pipeline]


class _Where(msgspec.Struct, frozen=True, kw_only=True):
    settings: Settings
    http: Address
    kafka: Address | None
    clickhouse: Address | None
    native_port: int


def read_options(options: Options) -> tuple[Settings, _Where]:
    """Checks the options. Raises AddressError or SettingsError, which are errors of usage."""
    memory = None if options.broker_memory is None else parse_size(options.broker_memory, "--broker-memory")
    given: dict[str, object] = {
        "data": options.data,
        "http.listen": options.http,
        "kafka.bootstrap": options.kafka_bootstrap,
        "http.tls_cert": options.tls_cert,
        "http.tls_key": options.tls_key,
        "http.tls_self_signed": options.tls_self_signed or None,
    }
    settings, listed = configure({**given, "clickhouse.url": options.clickhouse_url, "kafka.broker_memory": memory})
    origins = {setting.name: setting.origin for setting in listed}
    # The sink would end with the same words again and again.
    alert_rules(settings.sink.alerts)
    for server, listen, use in (
        ("kafka", options.kafka, options.kafka_bootstrap),
        ("clickhouse", options.clickhouse or options.clickhouse_native, options.clickhouse_url),
    ):
        if listen and use:
            external = "--kafka-bootstrap" if server == "kafka" else "--clickhouse-url"
            raise AddressError(f"--{server} says where the embedded server listens; with {external} none is started")
    if not settings.clickhouse.url.startswith(("http://", "https://")):
        raise AddressError(f"--clickhouse-url: {settings.clickhouse.url!r} is no URL; http://HOST:PORT was expected")
    # A server named in the environment or the file is meant to be used, as one named on the command line is.
    own_kafka = options.kafka is not None or (settings.kafka.embedded and origins["kafka.bootstrap"] == "default")
    own_store = options.clickhouse is not None or origins["clickhouse.url"] == "default"
    kafka = store = None
    native_port = 0
    if own_kafka:
        kafka = loopback_address(options.kafka or settings.kafka.bootstrap, "--kafka", "the embedded broker")
        if ":" in kafka.host:
            # It advertises the address with its brackets, and no client can resolve that.
            raise AddressError(f"--kafka: the embedded broker has no IPv6; 127.0.0.1:{kafka.port} was expected")
    if own_store:
        text = options.clickhouse or settings.clickhouse.url.removeprefix("http://")
        store = loopback_address(text, "--clickhouse", "the embedded ClickHouse")
        native_port = _native_port(options.clickhouse_native, store)
    http = parse_address(settings.http.listen, "--http")
    where = _Where(settings=settings, http=http, kafka=kafka, clickhouse=store, native_port=native_port)
    _refuse_doubles(where)
    return settings, where


def _native_port(text: str | None, http: Address) -> int:
    if text is None:
        port = http.port + NATIVE_OFFSET
        if port > 65535:
            raise AddressError(f"--clickhouse: port {http.port} + {NATIVE_OFFSET} is no port; set --clickhouse-native")
        return port
    native = loopback_address(text, "--clickhouse-native", "the embedded ClickHouse")
    if native.host != http.host:
        raise AddressError(f"--clickhouse-native: {native.host} was given, the host of --clickhouse is {http.host}")
    return native.port


def _listeners(where: _Where) -> list[tuple[str, str, Address]]:
    found = [("--http", "the query API", where.http)]
    if where.kafka:
        found.append(("--kafka", "the broker", where.kafka))
    if where.clickhouse:
        found.append(("--clickhouse", "ClickHouse", where.clickhouse))
        native = Address(where.clickhouse.host, where.native_port)
        found.append(("--clickhouse-native", "ClickHouse's native protocol", native))
    return found


def _refuse_doubles(where: _Where) -> None:
    seen: dict[Address, str] = {}
    for option, _, address in _listeners(where):
        if address in seen:
            raise AddressError(f"{address} is asked for twice, by {seen[address]} and {option}")
        seen[address] = option


def make_plan(where: _Where, data: Path, logs: Path) -> Plan:
    """Looks whether every port is free, writes the configuration of the embedded servers, makes the children.

    Raises CannotStartError; SettingsError when a setting does not fit.
    """
    for option, server, address in _listeners(where):
        error = port_error(address, option, server)
        if error:
            raise CannotStartError(error)
    http = where.settings.http
    forced: dict[str, object] = {
        "data": str(data),
        "http.listen": str(where.http),
        "http.tls_cert": http.tls_cert,
        "http.tls_key": http.tls_key,
        "http.tls_self_signed": http.tls_self_signed,
    }
    broker = store = None
    try:
        if where.kafka:
            broker = prepare_broker(where.kafka, logs)
            memory = where.settings.kafka.broker_memory
            forced |= {"kafka.bootstrap": str(where.kafka), "kafka.embedded": True, "kafka.broker_memory": memory}
        else:
            forced |= {"kafka.bootstrap": where.settings.kafka.bootstrap, "kafka.embedded": False}
        if where.clickhouse:
            store = prepare_clickhouse(data, where.clickhouse, where.native_port, where.settings, logs)
            forced |= {
                "clickhouse.url": store.url,
                "clickhouse.writer": "writer",
                "clickhouse.writer_password": store.passwords.writer,
                "clickhouse.reader": "api",
                "clickhouse.reader_password": store.passwords.api,
                "clickhouse.api_writer": "api_writer",
                "clickhouse.api_writer_password": store.passwords.api_writer,
            }
        else:
            forced["clickhouse.url"] = where.settings.clickhouse.url
    except OSError as error:
        raise CannotStartError(f"the data folder {data} cannot be written: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise CannotStartError(f"{data}/passwords.json cannot be read: {error}; remove it to have new ones") from error
    settings, listed = configure(forced)
    certificate = check_api(settings)
    has_targets = bool(places(settings.backup))
    environment = environment_for_children(listed)

    def member(name: str, command: str) -> Child:
        # -P: the folder the person stands in must not be searched for our packages.
        words = [sys.executable, "-P", "-m", "deploy", command, "--held"]
        return Child(name, words, logs / f"{name}.log", environment, held=True)

    return Plan(
        settings=settings,
        certificate=certificate,
        http=where.http,
        kafka=where.kafka,
        broker=broker,
        clickhouse=store,
        worker=member("worker", "process"),
        sink=member("sink", "sink"),
        api=member("api", "serve"),
        backup=member("backup", "backup") if has_targets else None,
    )
