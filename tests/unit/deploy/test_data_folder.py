import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from deploy.data_folder import DataFolder
from deploy.errors import CannotStartError


def test_a_second_holder_is_told_who_has_it(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "data"), pytest.raises(CannotStartError, match=f"in use .*process {os.getpid()}"):
        DataFolder(tmp_path / "data").__enter__()


def test_it_can_be_held_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with DataFolder(tmp_path / "data") as data:
            assert data.logs.is_dir()
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStartError, match="cannot be written: Not a directory; choose another with --data"):
        DataFolder(tmp_path / "file" / "data").__enter__()


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5_000_000, 5_000_000))
    with pytest.raises(CannotStartError, match=r"the disk of .* is full: 5 MB are free"):
        DataFolder(tmp_path / "data").__enter__()


def test_an_ephemeral_folder_is_removed() -> None:
    with DataFolder.ephemeral() as data:
        (data.path / "something").write_text("x")
    assert not data.path.exists()
