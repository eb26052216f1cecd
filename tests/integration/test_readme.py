"""README shows commands and code: they are run here, word for word but for the ports."""

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from producers.kafka.history import read_history
from schemas import topics
from tests.stack import Stack
from tests.up_process import Up

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.integration


def _here(text: str, demo: Up) -> str:
    ports = {"8080": demo.ports.http, "9092": demo.ports.kafka, "8123": demo.ports.clickhouse}
    for shown, real in ports.items():
        text = text.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{real}")
    return text


def test_make_run_is_the_demo_that_these_tests_start() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "run: install\n\t$(VENV)/bin/sojourn up --demo\n" in makefile
    for target in re.findall(r"^ {4}make (\w+)", README, re.MULTILINE):
        assert f"\n{target}: " in makefile


def test_the_output_shown_has_the_form_of_the_real_one(demo: Up) -> None:
    [shown] = re.findall(r"```\n(broker .*?)```", README, re.DOTALL)
    wanted = [line.split()[:2] for line in shown.splitlines() if " ready" in line[:20]]
    real = [line.split()[:2] for line in demo.lines if " ready" in line[:20]]
    assert sorted(wanted) == sorted(real)
    [sentence] = [line for line in demo.lines if line.startswith("demo: ")]
    assert re.sub(r"[\d.]+ s", "", sentence) in re.sub(r"[\d.]+ s", "", shown)


def test_the_curl_lines_shown_work(demo: Up) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the lines shown need curl, which is not on this machine")
    [block] = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    lines = block.strip().splitlines()
    assert len(lines) == 5
    for line in lines:
        command = [*shlex.split(_here(line, demo)), "--silent", "--fail", "--max-time", "30"]
        done = subprocess.run(command, capture_output=True, timeout=60)
        assert done.returncode == 0, line
        assert b"root" in done.stdout or b"lab-cowrie" in done.stdout, line


KCAT_LINE = re.findall(r"^ {4}(echo .*kcat .*)$", README, re.MULTILINE)[0]


def test_the_python_shown_makes_a_session_and_produce_closes_it(demo: Up) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-c", _here(code, demo)], check=True, timeout=60)
    question = "SELECT state FROM sessions_current WHERE sensor = 'door-1' AND session_id = '4711'"
    demo.wait_rows([("open",)], question)
    line = KCAT_LINE.split(" | ")[0] + f" | {sys.executable} -m deploy produce sojourn - --kafka 127.0.0.1:9092"
    subprocess.run(["sh", "-c", _here(line, demo)], check=True, cwd=ROOT, timeout=60)
    demo.wait_rows([("closed",)], question)


async def test_the_line_of_kcat_publishes_to_apache_kafka(kafka_stack: Stack) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not on this machine")
    settings = kafka_stack.settings.kafka
    line = KCAT_LINE.replace("127.0.0.1:9092", settings.bootstrap)
    await asyncio.to_thread(subprocess.run, ["sh", "-c", line], check=True, timeout=60)
    starts = {TopicPartition(topics.CONNECTIONS_IN, number): 0 for number in range(settings.partitions)}
    keys = [one.key async for _, messages in read_history(settings, starts) for one in messages]
    assert b'["door-1","4711"]' in keys


def test_the_log_of_a_sensor_is_published_as_shown(demo: Up, tmp_path: Path) -> None:
    [line] = re.findall(r"^ {4}\.venv/bin/(sojourn produce .*)$", README, re.MULTILINE)
    words = shlex.split(line)
    assert words == ["sojourn", "produce", "cowrie", "cowrie.json", "--follow"]
    log = (ROOT / "deploy" / "demo" / "cowrie-live.json").read_text(encoding="utf-8")
    (tmp_path / "cowrie.json").write_text(log.replace("lab-cowrie", "readme-cowrie"), encoding="utf-8")
    # Without --follow, which ends only when it is told to.
    command = [sys.executable, "-m", "deploy", *words[1:-1], "--kafka", f"127.0.0.1:{demo.ports.kafka}"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    demo.wait_rows([(8,)], "SELECT count() FROM sessions_current WHERE sensor = 'readme-cowrie'")


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} leads to {target}"
