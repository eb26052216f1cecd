"""A running Kafka and ClickHouse with topics and tables, for tests: embedded, Apache Kafka from its jars, in
containers, or somebody else's.
"""

import asyncio
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from deploy.addresses import Address
from deploy.child import Child
from deploy.embedded.broker import broker_answers, explain_broker, prepare_broker
from deploy.embedded.clickhouse import EmbeddedClickHouse, clickhouse_answers, explain_clickhouse, prepare_clickhouse
from deploy.schema import apply_tables
from producers.kafka.epochs import apply_topics
from schemas.settings import ClickHouse, Kafka, Settings, load
from tests.jars import NoJarsError
from tests.kafka.broker import KafkaBroker

T = TypeVar("T")


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that lead to running servers. ``admin_password`` and the ports are empty for servers not ours.

    ``apache`` is there when the broker is an Apache Kafka node of our own: a test may stop it and start it again.
    ``broker`` and ``store`` are the servers as processes, where they are ours.
    """

    kind: str
    settings: Settings
    admin_password: str = ""
    native_port: int = 0
    folder: Path | None = None
    apache: KafkaBroker | None = None
    broker: Child | None = None
    store: EmbeddedClickHouse | None = None


#: Below the range that outgoing connections use, so that nobody takes one by chance meanwhile. Each is given once: of
#: ports drawn anew every time, two of one stack were the same in some runs.
_PORTS = iter(random.SystemRandom().sample(range(22_000, 31_001), 9_001))


def free_port() -> int:
    """A port of loopback that nobody listens on; no two calls of one process get the same."""
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("every port between 22000 and 31000 was given away or is taken")


def run_aside(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in an event loop of its own thread, so that pytest's loops never notice."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _await_start(child: Child, answers: Callable[[], bool], explain: Callable[[], str], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not answers():
        if not child.running:
            raise RuntimeError(explain())
        if time.monotonic() > deadline:
            raise TimeoutError(f"{child.name} does not answer after {seconds} s: {child.last_line()}")
        time.sleep(0.02)


def kafka_in_production(base: Kafka, bootstrap: str) -> Kafka:
    """The settings that Apache Kafka wants (docs/operations.md), with one replica."""
    return msgspec.structs.replace(
        base,
        bootstrap=bootstrap,
        embedded=False,
        contiguous=False,
        idempotence=True,
        partitions=12,
        session_timeout=6.0,
    )


def _applied(stack: Stack) -> Stack:
    apply_tables(stack.settings)
    run_aside(apply_topics(stack.settings.kafka))
    return stack


def _beside(store: EmbeddedClickHouse, base: Settings, kafka: Kafka, folder: Path) -> Settings:
    """Settings that lead to this ClickHouse and that Kafka."""
    clickhouse = msgspec.structs.replace(
        base.clickhouse,
        url=store.url,
        writer_password=store.passwords.writer,
        reader_password=store.passwords.api,
        api_writer_password=store.passwords.api_writer,
    )
    return msgspec.structs.replace(base, data=str(folder), kafka=kafka, clickhouse=clickhouse)


@contextmanager
def embedded_stack(folder: Path, settings: Settings | None = None) -> Iterator[Stack]:
    """The two embedded servers on free ports; about a second to start, most of it for the tables."""
    base = settings or Settings()
    kafka, http = Address("127.0.0.1", free_port()), Address("127.0.0.1", free_port())
    logs = folder / "logs"
    broker = prepare_broker(kafka, logs)
    store = prepare_clickhouse(folder, http, free_port(), base, logs)
    children = [store.child, broker]
    try:
        for child in children:
            child.start()
        _await_start(broker, lambda: broker_answers(kafka), lambda: explain_broker(broker, kafka))
        _await_start(store.child, lambda: clickhouse_answers(store), lambda: explain_clickhouse(store))
        yield _applied(
            Stack(
                kind="embedded",
                settings=_beside(store, base, msgspec.structs.replace(base.kafka, bootstrap=str(kafka)), folder),
                admin_password=store.passwords.admin,
                native_port=store.native_port,
                folder=folder,
                broker=broker,
                store=store,
            )
        )
    finally:
        for child in children:
            child.kill()
            child.wait(10)


@contextmanager
def apache_stack(folder: Path, settings: Settings | None = None) -> Iterator[Stack]:
    """Apache Kafka from its jars beside the embedded ClickHouse; about ten seconds to start.

    Raises NoJarsError where Java, Maven or the jars are missing.
    """
    base = settings or Settings()
    broker = KafkaBroker(folder, Address("127.0.0.1", free_port()), Address("127.0.0.1", free_port()))
    http = Address("127.0.0.1", free_port())
    store = prepare_clickhouse(folder, http, free_port(), base, folder / "logs")
    try:
        store.child.start()
        broker.start()
        _await_start(store.child, lambda: clickhouse_answers(store), lambda: explain_clickhouse(store))
        yield _applied(
            Stack(
                kind="kafka",
                settings=_beside(store, base, kafka_in_production(base.kafka, str(broker.address)), folder),
                admin_password=store.passwords.admin,
                native_port=store.native_port,
                folder=folder,
                apache=broker,
                broker=broker.child,
                store=store,
            )
        )
    finally:
        broker.kill()
        store.child.kill()
        store.child.wait(10)


@contextmanager
def external_stack() -> Iterator[Stack]:
    """Servers named by SOJOURN_* variables; topics and tables are applied there."""
    settings, _ = load()
    yield _applied(Stack(kind="external", settings=settings))


@contextmanager
def container_stack() -> Iterator[Stack]:
    """Apache Kafka and ClickHouse in containers; skips, saying why, where no Docker engine answers."""
    docker = pytest.importorskip("docker", reason="--stack=testcontainers: the package docker is not installed")
    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"--stack=testcontainers: no Docker engine answers ({error})")
    from testcontainers.clickhouse import ClickHouseContainer
    from testcontainers.kafka import KafkaContainer

    with (
        KafkaContainer().with_kraft() as broker,
        ClickHouseContainer("clickhouse/clickhouse-server:latest", username="writer", password="writer") as store,
    ):
        url = f"http://{store.get_container_host_ip()}:{store.get_exposed_port(8123)}"
        settings = Settings(
            kafka=kafka_in_production(Kafka(), broker.get_bootstrap_server()),
            clickhouse=ClickHouse(
                url=url,
                writer_password="writer",
                reader="writer",
                reader_password="writer",
                api_writer="writer",
                api_writer_password="writer",
            ),
        )
        yield _applied(Stack(kind="testcontainers", settings=settings))


@contextmanager
def chosen_stack(kind: str) -> Iterator[Stack]:
    """The stack that ``--stack`` names."""
    if kind == "embedded":
        # Not pytest's tmp_path: it keeps the last runs, and a ClickHouse folder is large.
        with tempfile.TemporaryDirectory(prefix="sojourn-test-") as folder, embedded_stack(Path(folder)) as stack:
            yield stack
    elif kind == "kafka":
        with tempfile.TemporaryDirectory(prefix="sojourn-kafka-") as folder:
            try:
                with apache_stack(Path(folder)) as stack:
                    yield stack
            except NoJarsError as reason:
                pytest.skip(f"Apache Kafka: {reason}")
    elif kind == "external":
        with external_stack() as stack:
            yield stack
    else:
        with container_stack() as stack:
            yield stack
