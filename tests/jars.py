"""Servers that are Java programs, for tests: their jars, fetched once from Maven Central as a pom.xml pins them.

``python -m tests.jars`` fetches all of them before the tests and says which the tests will use.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
#: Folders with a pom.xml, and what the server is called.
_SERVERS = {"kafka": "Apache Kafka", "s3": "S3Proxy"}
_LEAST_JAVA = 17
#: Seconds; from an empty Maven repository Apache Kafka took 35.
_PATIENCE = 150


class NoJarsError(RuntimeError):
    """The server cannot run here; the text is the reason, as one sentence."""


def java() -> str:
    """The program, Java 17 or newer. Raises NoJarsError."""
    program = shutil.which("java")
    if program is None:
        raise NoJarsError(f"there is no java; Java {_LEAST_JAVA} or newer is needed")
    output = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    if found is None or int(found[1]) < _LEAST_JAVA:
        version = found[1] if found else "of unknown version"
        raise NoJarsError(f"java is {version}; Java {_LEAST_JAVA} or newer is needed")
    return program


def fetch_jars(server: str) -> Path:
    """The folder of a server's jars; fetches them when its pom has changed or none are there. Raises NoJarsError."""
    java()
    pom, target, name = _HERE / server / "pom.xml", _HERE / server / "target", _SERVERS[server]
    # The hash of the pom whose jars lie there; written last, so what is half fetched does not count.
    jars, stamp = target / "jars", target / "jars.sha256"
    wanted = hashlib.sha256(pom.read_bytes()).hexdigest()
    target.mkdir(exist_ok=True)
    with (target / "lock").open("w") as lock:
        # Two runs in one checkout must not fetch into the same folder at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return jars
        maven = shutil.which("mvn")
        if maven is None:
            raise NoJarsError(f"there is no mvn (Maven), which fetches the jars of {name}")
        stamp.unlink(missing_ok=True)
        shutil.rmtree(jars, ignore_errors=True)
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise NoJarsError(f"Maven had not fetched the jars of {name} after {_PATIENCE} s") from None
        if done.returncode != 0:
            told = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
            reason = told[0] if told else f"exit code {done.returncode}"
            raise NoJarsError(f"Maven could not fetch the jars of {name}: {reason}")
        stamp.write_text(wanted)
    return jars


def main() -> int:
    """Never fails: without its server a test is skipped."""
    for server, name in _SERVERS.items():
        try:
            fetch_jars(server)
        except NoJarsError as reason:
            print(f"Tests on {name} will be SKIPPED: {reason}.")  # noqa: T201
        else:
            print(f"Tests on {name} will run, on jars in tests/{server}/target.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
