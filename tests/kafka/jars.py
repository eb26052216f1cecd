"""Apache Kafka's jars, fetched once from Maven Central as pom.xml pins them.

``python -m tests.kafka.jars`` fetches them before the tests and says whether the tests will use Apache Kafka.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_POM = _HERE / "pom.xml"
_TARGET = _HERE / "target"
_JARS = _TARGET / "jars"
#: Hash of the pom whose jars lie there; written last, so what is half fetched does not count.
_STAMP = _TARGET / "jars.sha256"
_LEAST_JAVA = 17
#: Seconds; from an empty Maven repository it took 35.
_PATIENCE = 150


class NoKafkaError(RuntimeError):
    """Apache Kafka cannot run here; the text is the reason, as one sentence."""


def java() -> str:
    """The program, Java 17 or newer. Raises NoKafkaError."""
    program = shutil.which("java")
    if program is None:
        raise NoKafkaError(f"there is no java; Apache Kafka needs Java {_LEAST_JAVA} or newer")
    output = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    if found is None or int(found[1]) < _LEAST_JAVA:
        version = found[1] if found else "of unknown version"
        raise NoKafkaError(f"java is {version}; Apache Kafka needs Java {_LEAST_JAVA} or newer")
    return program


def fetch_jars() -> Path:
    """The folder with the jars; fetches them when the pom has changed or nothing is there. Raises NoKafkaError."""
    java()
    wanted = hashlib.sha256(_POM.read_bytes()).hexdigest()
    _TARGET.mkdir(exist_ok=True)
    with (_TARGET / "lock").open("w") as lock:
        # Two runs in one checkout must not fetch into the same folder at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _STAMP.exists() and _STAMP.read_text() == wanted:
            return _JARS
        maven = shutil.which("mvn")
        if maven is None:
            raise NoKafkaError("there is no mvn (Maven), which fetches Apache Kafka's jars")
        _STAMP.unlink(missing_ok=True)
        shutil.rmtree(_JARS, ignore_errors=True)
        command = [maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={_JARS}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise NoKafkaError(f"Maven had not fetched Apache Kafka's jars after {_PATIENCE} s") from None
        if done.returncode != 0:
            told = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
            reason = told[0] if told else f"exit code {done.returncode}"
            raise NoKafkaError(f"Maven could not fetch Apache Kafka's jars: {reason}")
        _STAMP.write_text(wanted)
    return _JARS


def main() -> int:
    """Never fails: without Apache Kafka its tests are skipped."""
    try:
        fetch_jars()
    except NoKafkaError as reason:
        print(f"Tests on Apache Kafka will be SKIPPED: {reason}.")  # noqa: T201
    else:
        print("Tests on Apache Kafka will run, on jars in tests/kafka/target.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
