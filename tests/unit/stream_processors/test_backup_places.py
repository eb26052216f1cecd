"""Targets of backups: names, folders, buckets, and paths made of names that sensors made up."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.backups import Bucket, Folder, places
from schemas.settings import Backup, SettingsError
from stream_processors.backup.places import PlaceError, open_places, path_part

_KEYS = {"s3_key": "k", "s3_secret": "s"}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("/var/backups", Folder("/var/backups")),
        ("backups", Folder("backups")),
        ("s3://my-bucket", Bucket("https://s3.eu-west-1.amazonaws.com", "my-bucket", "")),
        ("s3://my-bucket/a/b/", Bucket("https://s3.eu-west-1.amazonaws.com", "my-bucket", "a/b/")),
        ("http://127.0.0.1:9000/my-bucket/a", Bucket("http://127.0.0.1:9000", "my-bucket", "a/")),
    ],
)
def test_a_target_is_a_folder_or_a_bucket(where: str, expected: object) -> None:
    assert places(Backup(targets={"Backup_Target_Name": where}, s3_region="eu-west-1", **_KEYS)) == {
        "Backup_Target_Name": expected
    }


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ({"a/b": "/tmp"}, "'a/b' is no name"),
        ({"": "/tmp"}, "'' is no name"),
        ({"a": ""}, "neither a folder nor a URL of S3"),
        ({"a": "ftp://host/x"}, "neither a folder nor a URL of S3"),
        ({"a": "https://host"}, "names no bucket"),
        ({"a": "s3://"}, "names no bucket"),
        ({"a": "https://user:secret@host/bucket"}, "names no bucket"),
    ],
)
def test_a_target_that_cannot_be_one_is_named(targets: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=r"backup\.targets") as error:
        places(Backup(targets=targets, **_KEYS))
    assert words in str(error.value)


def test_a_bucket_needs_a_key() -> None:
    with pytest.raises(SettingsError, match=r"backup\.s3_key and backup\.s3_secret are needed"):
        places(Backup(targets={"a": "s3://bucket"}))


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_every_name_is_one_part_of_a_path_and_two_names_are_two(names: list[str]) -> None:
    parts = [path_part(name) for name in names if _can_be_written(name)]
    for part in parts:
        assert part and "/" not in part and "\0" not in part and part.strip(".") and len(part.encode()) <= 255
    assert len(set(parts)) == len(parts)


def _can_be_written(name: str) -> bool:
    return name == name.encode(errors="replace").decode()


async def test_a_folder_gets_whole_files_and_replaces_what_was_there(tmp_path: Path) -> None:
    place = open_places(Backup(targets={"a": str(tmp_path / "made" / "anew")}))["a"]
    source = tmp_path / "source"
    for text in ("first", "second"):
        source.write_text(text)
        await place.put(source, "sensor/session/file")
    assert (tmp_path / "made/anew/sensor/session/file").read_text() == "second"
    assert [path.name for path in (tmp_path / "made/anew/sensor/session").iterdir()] == ["file"]


async def test_a_folder_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    place = open_places(Backup(targets={"a": str(tmp_path / "file")}))["a"]
    with pytest.raises(PlaceError, match="Not a directory"):
        await place.put(tmp_path / "file", "sensor/name")


async def test_a_bucket_that_nobody_answers_for_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    place = open_places(Backup(targets={"a": "http://127.0.0.1:9/bucket"}, **_KEYS))["a"]
    with pytest.raises(PlaceError, match=r"S3 at http://127\.0\.0\.1:9"):
        await place.put(tmp_path / "file", "sensor/name")
    await place.close()
