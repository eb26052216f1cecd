"""What every test may ask for: a running stack, and a sensor name nobody else uses.

Tests share one stack per run. They keep apart by the name of their sensor: whatever a test publishes or counts, it
does so for ``sensor``. A test that needs empty topics or that stops a server asks for ``own_stack``.
"""

import uuid
from collections.abc import Iterator

import pytest

from schemas.settings import Settings
from tests.stack import Stack, chosen_stack
from tests.up_process import Ports, Up


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stack",
        choices=("embedded", "kafka", "testcontainers", "external"),
        default="embedded",
        help="where the Kafka and ClickHouse of integration tests run: embedded (default), Apache Kafka from its "
        "jars (skips without Java 17 or Maven), in Docker containers (skips where there is no Docker), or external, "
        "named by SOJOURN_* variables",
    )


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """One running Kafka and ClickHouse for the whole run, topics and tables applied."""
    with chosen_stack(request.config.getoption("--stack")) as running:
        yield running


@pytest.fixture(scope="session")
def demo(request: pytest.FixtureRequest) -> Iterator[Up]:
    """``sojourn up --demo`` after the recording has become sessions, without the load that goes on beside them."""
    if request.config.getoption("--stack") != "embedded":
        pytest.skip("sojourn up starts embedded servers; another --stack was asked for")
    ports = Ports()
    with Up(ports, *ports.options(), "--ephemeral", "--demo", "--load=0") as up:
        up.wait_ready()
        up.wait_line("It keeps running")
        yield up


@pytest.fixture
def own_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """An embedded stack for one test alone; it may be filled, stopped and broken."""
    kind = request.config.getoption("--stack")
    if kind != "embedded":
        pytest.skip(f"needs embedded servers of its own, --stack={kind} was asked for")
    with chosen_stack("embedded") as running:
        yield running


@pytest.fixture(scope="session")
def kafka_stack() -> Iterator[Stack]:
    """Apache Kafka and the embedded ClickHouse, settings as in production; skips where Kafka cannot run, saying why.

    For what the embedded broker cannot show: its data outlives it, and there are transactions and compaction.
    """
    with chosen_stack("kafka") as running:
        yield running


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return stack.settings


@pytest.fixture
def sensor(request: pytest.FixtureRequest) -> str:
    """A sensor name of this test alone."""
    return f"{request.node.originalname}-{uuid.uuid4().hex[:8]}"
