"""The API over TLS: a certificate of its own, one that was given, and what is refused."""

import asyncio
import hashlib
import os
import ssl
import sys
from pathlib import Path

import aiohttp
import msgspec
import pytest

from query_api import tls
from query_api.tls import fingerprint, server_context
from schemas.settings import Http, Settings, SettingsError
from tests.conformance.conftest import Apis, apis
from tests.stack import free_port
from tests.up_process import Ports, Up

__all__ = ["apis"]

pytestmark = pytest.mark.integration


def at(folder: Path, **http: object) -> Settings:
    return Settings(data=str(folder), http=msgspec.convert(http, Http))


def made(folder: Path) -> bytes:
    return (folder / "tls" / "certificate.pem").read_bytes()


def test_a_certificate_of_its_own_is_made_once_and_anew_for_other_names(tmp_path: Path) -> None:
    assert server_context(at(tmp_path)) is None
    assert server_context(at(tmp_path, tls_self_signed=True)) is not None
    first = made(tmp_path)
    assert {(tmp_path / "tls" / name).stat().st_mode & 0o777 for name in ("key.pem", "certificate.pem")} == {0o600}
    server_context(at(tmp_path, tls_self_signed=True))
    assert made(tmp_path) == first
    server_context(at(tmp_path, tls_self_signed=True, names="sojourn.example", listen="0.0.0.0:443"))
    assert made(tmp_path) != first
    (tmp_path / "tls" / "certificate.pem").write_text("no certificate")
    server_context(at(tmp_path, tls_self_signed=True))
    assert made(tmp_path).startswith(b"-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    ("http", "words"),
    [
        ({"tls_cert": "certificate.pem"}, "one is missing"),
        ({"tls_key": "key.pem"}, "one is missing"),
        ({"tls_cert": "/nowhere/a.pem", "tls_key": "/nowhere/b.pem"}, "No such file"),
        ({"tls_cert": __file__, "tls_key": __file__}, "do not fit"),
        ({"tls_cert": "a", "tls_key": "b", "tls_self_signed": True}, "only one"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, http: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        server_context(at(tmp_path, **http))


async def test_the_process_speaks_https_with_the_certificate_it_names_and_its_cookie_is_secure(
    settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    given = {
        "SOJOURN_DATA": str(tmp_path),
        "SOJOURN_CLICKHOUSE_URL": settings.clickhouse.url,
        "SOJOURN_CLICKHOUSE_READER_PASSWORD": settings.clickhouse.reader_password,
        "SOJOURN_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy", "serve", "--http", f"127.0.0.1:{port}", "--tls-self-signed"),
        env={**os.environ, **given},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        said = ""
        while "query API listens" not in said:
            line = await asyncio.wait_for(process.stdout.readline(), 60)
            assert line, f"it ended: {said}"
            said += line.decode()
        trusted = ssl.create_default_context(cafile=str(tmp_path / "tls" / "certificate.pem"))
        base = f"https://127.0.0.1:{port}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as http:
            async with http.get(f"{base}/events?response_per_page=1") as answer:
                assert answer.status == 200
                assert answer.headers["Server"] == "sojourn"
            async with http.get(f"{base}/api/authentication") as answer:
                (cookie,) = answer.headers.getall("Set-Cookie")
                assert cookie.startswith("session_id=") and "; Secure" in cookie
        der = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(der)).hexdigest().upper()
        assert fingerprint(at(tmp_path)).replace(":", "") == digest
        assert fingerprint(at(tmp_path)) in said
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/version"):
                pass
    finally:
        process.terminate()
        await process.wait()


async def test_a_certificate_that_is_renewed_is_taken_without_a_restart(
    apis: Apis, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.05)
    server_context(at(tmp_path / "first", tls_self_signed=True))
    server_context(at(tmp_path / "second", tls_self_signed=True))
    folder = tmp_path / "first" / "tls"
    http = msgspec.structs.replace(
        settings.http, tls_cert=str(folder / "certificate.pem"), tls_key=str(folder / "key.pem")
    )
    context = server_context(msgspec.structs.replace(settings, http=http))
    assert context is not None
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    address = server.sockets[0].getsockname()
    following = asyncio.create_task(tls.follow_certificate(context, http))
    try:
        async with asyncio.timeout(60):
            (folder / "certificate.pem").write_text("half a file")
            for _ in range(20):
                assert await asyncio.to_thread(ssl.get_server_certificate, address)
            for name in ("key.pem", "certificate.pem"):
                (folder / name).write_bytes((tmp_path / "second" / "tls" / name).read_bytes())
            wanted = (folder / "certificate.pem").read_text().strip()
            found = ""
            while found != wanted:
                found = (await asyncio.to_thread(ssl.get_server_certificate, address)).strip()
    finally:
        following.cancel()
        server.close()


async def test_a_certificate_that_was_given_is_used_and_without_tls_the_cookie_is_not_secure(
    apis: Apis, settings: Settings, tmp_path: Path
) -> None:
    server_context(at(tmp_path, tls_self_signed=True))
    folder = tmp_path / "tls"
    api = await apis.start(settings, tls_cert=str(folder / "certificate.pem"), tls_key=str(folder / "key.pem"))
    trusted = ssl.create_default_context(cafile=str(folder / "certificate.pem"))
    async with api.http.get(f"{api.base}/version", ssl=trusted) as answer:
        assert answer.status == 200
    plain = await apis.start(settings)
    async with plain.http.get(f"{plain.base}/api/authentication") as answer:
        assert "Secure" not in answer.headers["Set-Cookie"]


def test_sojourn_up_speaks_https_and_names_its_certificate() -> None:
    ports = Ports()
    with Up(ports, *ports.options(), "--ephemeral", "--tls-self-signed") as up:
        line = up.wait_line(r"^api +ready +https://")
        up.wait_line(r"^ready: https://")
        der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", ports.http)))
        assert hashlib.sha256(der).hexdigest().upper() in line.replace(":", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--http=0.0.0.0:8080"], "sojourn auth"),
        (["--tls-cert=/nowhere.pem", "--tls-key=/nowhere.pem"], "No such file"),
        (["--tls-cert=/nowhere.pem"], "one is missing"),
    ],
)
def test_sojourn_up_says_beforehand_why_the_api_could_not_listen(options: list[str], said: str) -> None:
    ports = Ports()
    with Up(ports, *ports.options(), *options, "--ephemeral") as up:
        up.wait_line(said)
        assert up.process.wait(60) == 2
