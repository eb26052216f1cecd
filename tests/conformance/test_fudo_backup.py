"""Fudo's API v2, backups: what a request may say."""

from typing import Any

import msgspec
import pytest

from schemas.settings import Backup, Settings
from tests.conformance.conftest import Apis
from tests.conformance.fudo import Fudo, numbered, started
from tests.conformance.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
async def fudo(apis: Apis, settings: Settings) -> Fudo:
    targets = Backup(targets={"Backup_Target_Name": "/nowhere"})
    return await started(apis, msgspec.structs.replace(settings, backup=targets))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "exactly one of session_id and session_ids"),
        ({"session_id": "1"}, "exactly one of backup_id and backup_name"),
        ({"backup_name": "Backup_Target_Name"}, "exactly one of session_id and session_ids"),
        ({"session_id": "1", "session_ids": ["1"], "backup_id": "a"}, "exactly one of session_id and session_ids"),
        ({"session_id": "1", "backup_id": "a", "backup_name": "a"}, "exactly one of backup_id and backup_name"),
        ({"session_ids": [], "backup_name": "a"}, "session_ids must be a list of at least one id"),
        ({"session_ids": "1", "backup_name": "a"}, "session_ids must be a list"),
        ({"session_ids": [1], "backup_name": "a"}, "session_ids must be text"),
        ({"session_ids": ["1"] * 101, "backup_name": "a"}, "at most 100"),
        ({"session_id": 1, "backup_name": "a"}, "session_id must be text"),
        ({"session_id": "", "backup_name": "a"}, "session_id must be text of 1"),
        ({"session_id": None, "backup_name": "a"}, "session_id must be text"),
        ({"session_id": "1", "backup_id": 5}, "backup_id must be text"),
        ({"session_id": "1", "backup_name": "a", "when": "now"}, "no member when; known are session_id"),
        (b"[]", "the body must be a JSON object"),
        (b'{"session_id": "\\ud800", "backup_name": "a"}', "session_id must be text"),
    ],
)
async def test_a_body_that_is_no_assignment_is_refused_by_name(fudo: Fudo, body: Any, words: str) -> None:
    assert words in await fudo.refused("/session_backup", "POST", body)


async def test_a_session_or_target_that_is_not_there_is_not_found(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}, f"{sensor}-gone": {"removed": True}})
    here = f"{sensor}-1"
    words = await fudo.refused(f"/session/{here}/backup/elsewhere", "POST", None, 404)
    assert words == "Object not found: there is no backup target elsewhere"
    for name in ("never", f"{sensor}-gone"):
        assert await fudo.refused(f"/session/{name}/backup/Backup_Target_Name", "POST", None, 404) == "Object not found"
        body = {"backup_id": "Backup_Target_Name", "session_ids": [here, name]}
        assert (await fudo.refused("/session_backup", "POST", body, 404)).startswith("Object not found: ")


async def test_a_backup_by_path_has_no_body(fudo: Fudo) -> None:
    words = await fudo.refused("/session/1/backup/Backup_Target_Name", "POST", {"a": 1})
    assert words == "Request body is not allowed for this endpoint"
