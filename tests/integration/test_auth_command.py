"""``sojourn auth`` as a person runs it, and a server that listens for others."""

import asyncio
import base64
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest

from schemas.settings import Settings
from tests.processes import processes_of
from tests.stack import free_port

pytestmark = pytest.mark.integration


class Auth:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "credentials.json"

    def __call__(self, *words: str, given: str = "", code: int = 0) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
        found = subprocess.run(
            [sys.executable, "-m", "deploy", "auth", *words, "--auth-file", str(self.file)],
            input=given,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert found.returncode == code, found.stderr
        return found.stdout if code == 0 else found.stderr


@pytest.fixture
def auth(tmp_path: Path) -> Auth:
    return Auth(tmp_path)


def test_users_and_tokens_are_made_listed_and_revoked(auth: Auth) -> None:
    assert "no credentials" in auth("list")
    auth("add-user", "ann", "--scope", "read", "--sensors", "lab-.*", given="correct horse\n")
    token = auth("add-token", "bot", "--scope", "write", "--scope", "ingest").strip()
    assert token.startswith("sojourn_")
    listed = auth("list")
    assert "ann" in listed and "lab-.*" in listed and "write,ingest" in listed
    assert token not in listed and "argon2" not in listed
    auth("revoke", "ann")
    assert "ann" not in auth("list")


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (("add-user", "ann"), "short\n", "8 to 1024 bytes"),
        (("add-user", "a b"), "long enough\n", "no name"),
        (("add-token", "bot", "--sensors", "(?=x)"), "", "RE2"),
        (("revoke", "nobody"), "", "no credentials"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_1(
    auth: Auth, words: tuple[str, ...], given: str, said: str
) -> None:
    error = auth(*words, given=given, code=1)
    assert said in error and error.startswith("sojourn: ") and len(error.splitlines()) == 1
    assert not auth.file.exists()


async def test_a_server_for_others_asks_everybody_and_its_log_has_no_secret(settings: Settings, auth: Auth) -> None:
    port = free_port()
    http = msgspec.structs.replace(settings.http, listen=f"0.0.0.0:{port}", auth_file=str(auth.file))
    with processes_of(msgspec.structs.replace(settings, http=http)) as processes:
        alone = processes.start("serve")
        while alone.running:  # noqa: ASYNC110 - it ends by itself, or the test does at its time limit
            await asyncio.sleep(0.05)
        assert "sojourn auth" in alone.log()

        token = auth("add-token", "bot").strip()
        server = processes.start("serve")
        deadline = time.monotonic() + 60
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            while True:
                try:
                    async with client.get("/version") as answer:
                        assert answer.status == 200
                        break
                except aiohttp.ClientConnectorError:
                    assert server.running and time.monotonic() < deadline, server.log()
                    await asyncio.sleep(0.05)
            for headers, status in (({}, 401), ({"Authorization": f"Bearer {token}"}, 200)):
                async with client.get("/events?response_per_page=1", headers=headers) as answer:
                    assert answer.status == status
            async with client.get(f"/sessions/list?token={token}") as answer:
                assert answer.status != 403
            basic = base64.b64encode(b"ann:a guessed password").decode()
            async with client.get("/api/authentication", headers={"Authorization": f"Basic {basic}"}) as answer:
                assert answer.status == 401
        log = server.log()
        assert "plain text" in log and "login failed" in log
        assert token not in log and token.rpartition("_")[2] not in log and "guessed" not in log
