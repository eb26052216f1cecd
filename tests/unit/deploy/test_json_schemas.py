from pathlib import Path

import pytest

from deploy.json_schemas import rendered_schemas, schema_of
from schemas.records import Connection, Event

DOCS = Path(__file__).parents[3] / "docs" / "schemas"


@pytest.mark.parametrize("name", sorted(rendered_schemas()))
def test_the_documents_are_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == rendered_schemas()[name], "run `sojourn docs schema`"


def test_a_sensor_is_asked_for_its_name_and_a_time_and_for_nothing_internal() -> None:
    assert schema_of(Event)["required"] == ["sensor", "time"]
    assert not {"offset", "index"} & set(schema_of(Event)["properties"])
    assert not {"source", "positions"} & set(schema_of(Connection)["properties"])
