"""docs/sql.md shows queries: each runs here as the analyst, on the recording, and finds something."""

import re
from pathlib import Path

import pytest

from tests.up_process import Up, wait_for

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
#: Questions whose answer on a recording of finished sessions is rightly empty.
NOBODY = ("state = 'open'",)


def test_there_are_twelve_questions_beside_the_one_about_columns() -> None:
    assert len(QUERIES) == 13


@pytest.mark.integration
@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_the_query_shown_runs_as_the_analyst(query: str, demo: Up) -> None:
    query = query.replace("FORMAT PrettyCompact", "")
    assert demo.rows(query) is not None
    # The roll-up of sessions is up to a minute old.
    wait_for("an answer", lambda: demo.rows(query) or any(text in query for text in NOBODY), query)


@pytest.mark.integration
def test_every_column_explains_itself(demo: Up) -> None:
    silent = demo.rows("SELECT table, name FROM system.columns WHERE database = 'sojourn' AND comment = ''")
    views = {"sessions_all", "sessions_current", "devices"}
    views |= {"events_by_hour_fill", "sessions_by_hour_fill", "device_facts_fill"}
    assert [row for row in silent if row[0] not in views] == []


@pytest.mark.integration
def test_the_python_shown_reads_as_the_analyst(demo: Up, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code.replace("port=8123", f"port={demo.ports.clickhouse}"), {})
    assert "('lab-cowrie', 8)" in capsys.readouterr().out
