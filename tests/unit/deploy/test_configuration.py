import pytest

from deploy.configuration import configure, environment_for_children
from deploy.plan import Options, read_options
from deploy.settings_print import settings_as_json
from schemas.settings import SettingsError, load


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    for name in load(environ={})[1]:
        monkeypatch.delenv(name.variable, raising=False)


def test_children_get_the_same_settings_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOJOURN_SESSIONS_IDLE", '{"": 5.0}')
    settings, listed = configure(
        {"kafka.embedded": False, "kafka.bootstrap": "b:1", "clickhouse.writer_password": "x y"}
    )
    assert load(environ=environment_for_children(listed))[0] == settings


def test_a_broker_of_ones_own_changes_the_defaults_but_not_what_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOJOURN_KAFKA_PARTITIONS", "5")
    kafka = configure({"kafka.embedded": False})[0].kafka
    assert (kafka.contiguous, kafka.idempotence, kafka.partitions) == (False, True, 5)
    assert kafka.session_timeout >= 6
    assert configure()[0].kafka.contiguous


def test_secrets_are_masked() -> None:
    _, listed = configure({"clickhouse.writer_password": "hunter2"})
    text = settings_as_json(listed)
    assert "hunter2" not in text
    assert '"clickhouse.writer_password"' in text


def test_servers_named_by_a_setting_are_used_instead_of_embedded_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_options(Options())[1].kafka is not None
    monkeypatch.setenv("SOJOURN_KAFKA_BOOTSTRAP", "broker:9092")
    monkeypatch.setenv("SOJOURN_CLICKHOUSE_URL", "http://store:8123")
    where = read_options(Options())[1]
    assert where.kafka is None
    assert where.clickhouse is None
    assert read_options(Options(kafka="127.0.0.1:9999"))[1].kafka is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(kafka="127.0.0.1:1", kafka_bootstrap="b:1"), "--kafka says where"),
        (Options(clickhouse="127.0.0.1:1", clickhouse_url="http://b:1"), "--clickhouse says where"),
        (Options(http="127.0.0.1:9092"), "asked for twice, by --http and --kafka"),
        (Options(clickhouse="127.0.0.1:65000"), "set --clickhouse-native"),
        (Options(clickhouse="127.0.0.1:8123", clickhouse_native="[::1]:9000"), "the host of --clickhouse is"),
        (Options(kafka="0.0.0.0:9092"), "loopback only"),
        (Options(kafka="[::1]:9092"), "no IPv6"),
        (Options(clickhouse_url="ftp://x"), "no URL"),
        (Options(http="nonsense"), "HOST:PORT was expected"),
    ],
)
def test_options_that_contradict_are_refused_in_one_sentence(options: Options, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_options(options)
    assert "\n" not in str(caught.value)


def test_a_value_that_is_none_of_a_few_is_told_which_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOJOURN_NETALERTX_PROFILE", "foo")
    with pytest.raises(SettingsError, match="'foo'; one of document, product was expected"):
        configure()


def test_the_native_port_follows_the_http_port() -> None:
    where = read_options(Options(clickhouse="127.0.0.1:8123"))[1]
    assert where.native_port == 9000


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1:99999", "127.0.0.1:0", ":9092", "kafka-1:x", "kafka-1:9092,,kafka-2:9092"]
)
def test_brokers_that_no_client_could_reach_are_named(text: str) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.bootstrap .*HOST:PORT"):
        load({"kafka.bootstrap": text}, environ={})


@pytest.mark.parametrize("text", ["127.0.0.1:9092", "[::1]:9092", "kafka-1", "kafka-1:9092, kafka-2:65535"])
def test_brokers_as_people_write_them_are_taken(text: str) -> None:
    settings, _ = load({"kafka.bootstrap": text}, environ={})
    assert settings.kafka.bootstrap == text


def test_a_data_folder_without_a_name_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^data .*length"):
        load({"data": ""}, environ={})
