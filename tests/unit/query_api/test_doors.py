"""Who may knock: listening address, Host, Origin, owners of paths, places."""

from pathlib import Path

import pytest

from query_api.auth.principal import ANYBODY, Principal
from query_api.errors import TooManyRequestsError, UnavailableError
from query_api.limits import Gate, query_settings
from query_api.listen import check_exposure, listen_address
from query_api.main import run_server
from query_api.owners import owner_of
from schemas.settings import Http, Settings, SettingsError


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "localhost:80", "[::1]:8080", "127.8.9.1:1"])
def test_loopback_addresses_are_listened_on(text: str) -> None:
    assert listen_address(text).port == int(text.rpartition(":")[2])


@pytest.mark.parametrize(
    "text",
    ["example.org:80", "8080", ":80", "127.0.0.1:x", "127.0.0.1:99999"],
)
def test_what_is_no_ip_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"http\.listen"):
        listen_address(text)


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"])
def test_without_credentials_only_loopback_is_listened_on(text: str) -> None:
    check_exposure(listen_address(text), credentials=True)
    with pytest.raises(SettingsError, match="sojourn auth"):
        check_exposure(listen_address(text), credentials=False)


def test_a_server_that_may_not_listen_says_why_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_server(Settings(data=str(tmp_path), http=Http(listen="0.0.0.0:8080"))) == 1
    assert "no credentials yet" in capsys.readouterr().err


def test_a_server_with_a_broken_file_of_credentials_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "credentials.json").write_text("{")
    (tmp_path / "credentials.json").chmod(0o600)
    assert run_server(Settings(data=str(tmp_path), http=Http(listen="127.0.0.1:8080"))) == 1
    assert "credentials.json" in capsys.readouterr().err


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
        ("/sessions/list", "netalertx"),
        ("/sessions/aa:bb:cc:dd:ee:ff", "netalertx"),
        ("/devices/by-status", "netalertx"),
        ("/devices/totals", "netalertx"),
        ("/api/v2/session", "fudo"),
        ("/api/v2", "fudo"),
        ("/api/v20", "sps"),
        ("/api", "sps"),
        ("/api/audit/sessions", "sps"),
        ("/docs", "sojourn"),
    ],
)
def test_every_path_has_one_owner(path: str, owner: str) -> None:
    assert owner_of(path).name == owner


def test_one_answer_too_many_is_told_to_come_back() -> None:
    gate = Gate(1, 1)
    with gate.place(ANYBODY):
        with pytest.raises(UnavailableError) as busy, gate.place(ANYBODY):
            pass
        assert busy.value.headers == {"Retry-After": "1"}
    with gate.place(ANYBODY):
        assert gate.taken == 1


def test_one_credential_cannot_take_all_places() -> None:
    ann, bob = (Principal(name, frozenset(), origin="token") for name in ("ann", "bob"))
    gate = Gate(3, 2)
    with gate.place(ann), gate.place(ann):
        with pytest.raises(TooManyRequestsError) as greedy, gate.place(ann):
            pass
        assert greedy.value.headers == {"Retry-After": "1"}
        with gate.place(bob), pytest.raises(UnavailableError), gate.place(ANYBODY):
            pass
    assert gate.taken == 0


def test_every_query_has_limits_of_time_memory_rows_and_result() -> None:
    limits = query_settings(Http(query_seconds=2.5, query_memory=7, query_rows=9))
    assert limits["max_execution_time"] == "2.5"
    assert limits["max_memory_usage"] == limits["max_result_bytes"] == "7"
    assert limits["max_rows_to_read"] == "9"
