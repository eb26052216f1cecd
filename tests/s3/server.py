"""A server of S3 on loopback, for tests: S3Proxy, which checks signatures and keeps objects as files."""

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.addresses import Address
from deploy.child import Child
from tests.jars import NoJarsError, fetch_jars, java

#: Who may ask.
KEY, SECRET = "key", "secret"
BUCKET = "bucket"

_PROPERTIES = """\
s3proxy.endpoint=http://{address}
s3proxy.authorization=aws-v4
s3proxy.identity={key}
s3proxy.credential={secret}
jclouds.provider=filesystem-nio2
jclouds.identity=none
jclouds.credential=none
jclouds.filesystem.basedir={data}
"""
_LOGGING = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %m%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="out"/></root>
</configuration>
"""
_HEAP = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


class S3Server:
    """One bucket in ``folder``."""

    def __init__(self, folder: Path, address: Address) -> None:
        """Raises NoJarsError when Java, Maven or the jars are missing."""
        program, jars = java(), fetch_jars("s3")
        self.address = address
        self._bucket = folder / "objects" / BUCKET
        self._bucket.mkdir(parents=True)
        properties, logging = folder / "s3.properties", folder / "logback.xml"
        properties.write_text(_PROPERTIES.format(address=address, key=KEY, secret=SECRET, data=self._bucket.parent))
        logging.write_text(_LOGGING)
        options = (*_HEAP, f"-Dlogback.configurationFile={logging}", "-cp", f"{jars}/*")
        command = [program, *options, "org.gaul.s3proxy.Main", "--properties", str(properties)]
        self.child = Child("s3", command, folder / "s3.log")

    @property
    def url(self) -> str:
        """Of the bucket, as a target of backups."""
        return f"http://{self.address}/{BUCKET}"

    def start(self, seconds: float = 60) -> None:
        """Returns when it takes connections; call it from the main thread (see Child)."""
        self.child.start()
        deadline = time.monotonic() + seconds
        while not self._listens():
            if not self.child.running or time.monotonic() > deadline:
                raise RuntimeError(f"S3Proxy did not start:\n{self.child.output(4000)}")
            time.sleep(0.1)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(10)

    def _listens(self) -> bool:
        try:
            with socket.create_connection((self.address.host, self.address.port), timeout=1):
                return True
        except OSError:
            return False

    def objects(self) -> dict[str, bytes]:
        """What the bucket holds, by the names of the objects."""
        files = (file for file in self._bucket.rglob("*") if file.is_file())
        return {str(file.relative_to(self._bucket)): file.read_bytes() for file in files}


@contextmanager
def s3_server(address: Address) -> Iterator[S3Server]:
    """One that runs, in a folder that is gone afterwards; without its jars the test is skipped."""
    with tempfile.TemporaryDirectory(prefix="sojourn-s3-") as folder:
        try:
            server = S3Server(Path(folder), address)
        except NoJarsError as reason:
            pytest.skip(f"S3Proxy: {reason}")
        try:
            server.start()
            yield server
        finally:
            server.kill()
