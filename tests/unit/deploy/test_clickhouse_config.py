import base64
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.addresses import Address
from deploy.embedded.clickhouse_config import HTTP_USERS, Limits, ServerConfig, basic_pattern, config_xml, users_xml
from deploy.embedded.passwords import Passwords, keep_passwords, read_passwords

CONFIG = ServerConfig(
    http=Address("127.0.0.1", 8123),
    native_port=9000,
    database="sojourn",
    log="/a folder/with <odd> & names/clickhouse.log",
    api_limits=Limits(seconds=10, memory=1000, rows=2000),
    passwords=Passwords(writer="w-secret", admin="a-secret", api="r-secret", api_writer="s-secret"),
)


@pytest.mark.parametrize("user", HTTP_USERS)
@given(password=st.binary(max_size=20))
def test_the_basic_pattern_matches_its_user_with_every_password(user: str, password: bytes) -> None:
    text = base64.b64encode(user.encode() + b":" + password).decode()
    assert re.match(basic_pattern(user), text)


@given(user=st.sampled_from(HTTP_USERS), cut=st.integers(0, 8), rest=st.binary(max_size=4))
def test_the_basic_pattern_matches_no_other_user(user: str, cut: int, rest: bytes) -> None:
    credentials = f"{user}:".encode()[:cut] + rest
    matches = re.match(basic_pattern(user), base64.b64encode(credentials).decode()) is not None
    assert matches == credentials.startswith(f"{user}:".encode())


def test_both_files_are_xml_and_hold_no_password_in_clear() -> None:
    for text in (config_xml(CONFIG), users_xml(CONFIG)):
        ElementTree.fromstring(text)
        assert "secret" not in text


def test_the_log_path_is_escaped() -> None:
    root = ElementTree.fromstring(config_xml(CONFIG))
    assert root.findtext("logger/errorlog") == CONFIG.log


def test_default_may_only_start_listeners() -> None:
    root = ElementTree.fromstring(users_xml(CONFIG))
    grants = [query.text for query in root.findall("users/default/grants/query")]
    assert grants == ["GRANT SYSTEM LISTEN ON *.*", "GRANT CREATE TEMPORARY TABLE ON *.*"]


def test_every_limit_of_a_reader_has_a_constraint() -> None:
    root = ElementTree.fromstring(users_xml(CONFIG))
    for name in ("api", "api_writer", "analyst"):
        profile = root.find(f"profiles/{name}")
        assert profile is not None
        constraints = profile.find("constraints")
        assert constraints is not None
        limited = {setting.tag for setting in profile} - {"readonly", "constraints"}
        assert limited <= {constraint.tag for constraint in constraints}


def test_passwords_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    first = keep_passwords(path)
    assert keep_passwords(path) == first == read_passwords(path)
    assert path.stat().st_mode & 0o777 == 0o600
    made = [first.writer, first.admin, first.api, first.api_writer]
    assert len(set(made)) == 4
    assert min(len(password) for password in made) >= 24


def test_a_file_of_an_earlier_version_gets_the_password_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    path.write_text('{"writer":"w","admin":"a","api":"r"}')
    found = keep_passwords(path)
    assert (found.writer, found.admin, found.api) == ("w", "a", "r")
    assert len(found.api_writer) >= 24
    assert read_passwords(path) == found
