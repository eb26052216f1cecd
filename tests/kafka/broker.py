"""One Apache Kafka node on loopback, broker and controller in one process (KRaft), for tests."""

import subprocess
import time
from pathlib import Path

from deploy.addresses import Address
from deploy.child import Child
from deploy.embedded.broker import broker_answers
from tests.jars import NoJarsError, fetch_jars, java

#: Any 16 bytes in URL-safe base64; a node refuses a folder that was formatted with another.
_CLUSTER_ID = "c29qb3Vybi10ZXN0cy0wMQ"

# Besides what a single node needs: no wait for more members before the first rebalance, a cleaner that looks often,
# few partitions of its own topics, so that start and stop are quick. Timeouts and topic defaults are the product's.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{listener},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{listener}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=500
"""

_HEAP = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


class KafkaBroker:
    """A node whose data is in ``folder`` and outlives it: ``stop`` or ``kill``, then ``start`` again."""

    def __init__(self, folder: Path, address: Address, controller: Address) -> None:
        """Formats the storage. Raises NoJarsError when Java, Maven or the jars are missing."""
        self.address = address
        self._data = folder / "kafka"
        properties = folder / "kafka.properties"
        folder.mkdir(parents=True, exist_ok=True)
        properties.write_text(_PROPERTIES.format(listener=address, controller=controller, data=self._data))
        self._program = java()
        self._jars = fetch_jars("kafka")
        #: Its process, for those who do more to it than ``stop`` and ``kill``.
        self.child = Child("kafka", self._command("kafka.Kafka", str(properties)), folder / "logs" / "kafka.log")
        self._format(properties)

    def _command(self, main: str, *arguments: str) -> list[str]:
        quiet = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")
        return [self._program, *_HEAP, *quiet, "-cp", f"{self._jars}/*", main, *arguments]

    def _format(self, properties: Path) -> None:
        command = self._command(
            "kafka.tools.StorageTool",
            *("format", "--ignore-formatted", "--cluster-id", _CLUSTER_ID, "--config", str(properties)),
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise NoJarsError(f"storage could not be formatted: {(done.stdout + done.stderr)[-500:]}")

    @property
    def pid(self) -> int | None:
        return self.child.pid

    def start(self, seconds: float = 60) -> None:
        """Returns when a metadata request is answered; call it from the main thread (see Child)."""
        self.child.start()
        deadline = time.monotonic() + seconds
        while not broker_answers(self.address):
            if not self.child.running:
                raise RuntimeError(f"Apache Kafka ended while starting:\n{self.child.output(4000)}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"Apache Kafka does not answer after {seconds:.0f} s:\n{self.child.output(4000)}")
            time.sleep(0.1)

    def stop(self, seconds: float = 30) -> None:
        """SIGTERM, as an operator does: it writes everything down and ends; SIGKILL when it does not."""
        self.child.terminate()
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        self.child.kill()
        self.child.wait(10)

    def log(self) -> str:
        """The end of what it wrote since its last start."""
        return self.child.output(8000)
