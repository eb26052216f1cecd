"""Files put into a bucket of a server that checks signatures."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.addresses import Address
from schemas.settings import Backup
from stream_processors.backup.places import Place, PlaceError, open_places
from tests.s3.server import KEY, SECRET, S3Server, s3_server
from tests.stack import free_port

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server(Address("127.0.0.1", free_port())) as server:
        yield server


@asynccontextmanager
async def place_of(url: str, secret: str = SECRET) -> AsyncIterator[Place]:
    place = open_places(Backup(targets={"a": url}, s3_key=KEY, s3_secret=secret))["a"]
    try:
        yield place
    finally:
        await place.close()


@pytest.mark.parametrize(
    "name",
    [
        "sensor/session/events.parquet",
        "sensor/with space/events.jsonl",
        "sensor/a%2Fb/session.json",
        "s@n:s=r,+1/~x/file",
        "a/b/ä-ö 漢字",
    ],
)
async def test_a_file_is_put_under_its_name(s3: S3Server, tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    async with place_of(f"{s3.url}/prefix") as place:
        for text in (b"first", name.encode()):
            source.write_bytes(text)
            await place.put(source, name)
    assert s3.objects()[f"prefix/{name}"] == name.encode()


async def test_a_file_of_many_chunks_comes_whole(s3: S3Server, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(content := os.urandom(5_000_001))
    async with place_of(s3.url) as place:
        await place.put(tmp_path / "source", "many/chunks")
    assert s3.objects()["many/chunks"] == content


async def test_another_secret_is_refused_and_nothing_is_there(s3: S3Server, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    async with place_of(s3.url, "another") as place:
        with pytest.raises(PlaceError, match=r"S3 answered 403: .*SignatureDoesNotMatch"):
            await place.put(tmp_path / "source", "refused/file")
    assert "refused/file" not in s3.objects()


async def test_a_bucket_that_is_not_there_says_so(s3: S3Server, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    async with place_of(f"http://{s3.address}/no-such-bucket") as place:
        with pytest.raises(PlaceError, match=r"S3 answered 404: .*NoSuchBucket"):
            await place.put(tmp_path / "source", "a/b")
