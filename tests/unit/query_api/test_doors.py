"""Who may knock: listening address, Host, Origin, owners of paths, places."""

import pytest

from query_api.errors import UnavailableError
from query_api.limits import Gate, query_settings
from query_api.listen import listen_address
from query_api.main import run_server
from query_api.owners import owner_of
from schemas.settings import Http, Settings, SettingsError


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "localhost:80", "[::1]:8080", "127.8.9.1:1"])
def test_loopback_addresses_are_listened_on(text: str) -> None:
    assert listen_address(text).port == int(text.rpartition(":")[2])


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "example.org:80", "8080", ":80", "127.0.0.1:x", "127.0.0.1:99999"],
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"http\.listen"):
        listen_address(text)


def test_a_server_that_may_not_listen_says_why_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_server(Settings(http=Http(listen="0.0.0.0:8080"))) == 1
    assert "no credentials yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/events", "honeytrap"),
        ("/sessions", "honeytrap"),
        ("/sessions/stream", "honeytrap"),
        ("/metrics/attackers", "honeytrap"),
        ("/events/", "sojourn"),
        ("/health/live", "sojourn"),
        ("/a\nb", "sojourn"),
    ],
)
def test_every_path_has_one_owner(path: str, owner: str) -> None:
    assert owner_of(path).name == owner


def test_one_answer_too_many_is_told_to_come_back() -> None:
    gate = Gate(1)
    with gate.place():
        with pytest.raises(UnavailableError) as busy, gate.place():
            pass
        assert busy.value.headers == {"Retry-After": "1"}
    with gate.place():
        assert gate.taken == 1


def test_every_query_has_limits_of_time_memory_rows_and_result() -> None:
    limits = query_settings(Http(query_seconds=2.5, query_memory=7, query_rows=9))
    assert limits["max_execution_time"] == "2.5"
    assert limits["max_memory_usage"] == limits["max_result_bytes"] == "7"
    assert limits["max_rows_to_read"] == "9"
