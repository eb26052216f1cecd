"""The commands that prepare and tell: topics and tables, settings, documents, the version."""

from typing import Annotated

import typer

from deploy.commands.common import fail, read_settings, silence_libraries

app = typer.Typer()
schema_app = typer.Typer(help="Topics and tables.", rich_markup_mode=None)
docs_app = typer.Typer(help="Generated documents.", rich_markup_mode=None)


@schema_app.command("apply")
def schema_apply() -> None:
    """Create topics and tables where they are missing; can be run again."""
    import asyncio

    from aiokafka.errors import KafkaError

    from deploy.schema import SchemaError, apply_tables
    from deploy.servers import kafka_sentence
    from producers.kafka.epochs import TopicsError, apply_topics

    silence_libraries()
    settings = read_settings()
    try:
        topics = asyncio.run(apply_topics(settings.kafka))
        tables = apply_tables(settings)
    except (KafkaError, TopicsError) as error:
        fail(kafka_sentence(error, settings.kafka), 1)
    except SchemaError as error:
        fail(str(error), 1)
    else:
        typer.echo(f"topics created: {', '.join(topics.created) or 'none, all are there'}")
        typer.echo(f"migrations applied: {', '.join(m.name for m in tables) or 'none, all were applied before'}")


@app.command()
def settings(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Print every setting: name, value, origin, help."""
    from deploy.configuration import configure
    from deploy.settings_print import settings_as_json, settings_as_table
    from schemas.settings import SettingsError

    try:
        _, listed = configure()
    except SettingsError as error:
        fail(str(error), 2)
        raise
    if as_json:
        typer.echo(settings_as_json(listed))
    else:
        settings_as_table(listed)


@docs_app.command("schema")
def docs_schema(
    folder: Annotated[str, typer.Option(help="Where the files go.")] = "docs/schemas",
) -> None:
    """Write the JSON Schema of the records."""
    from pathlib import Path

    from deploy.json_schemas import write_schemas

    for path in write_schemas(Path(folder)):
        typer.echo(path)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    typer.echo(f"sojourn {version_of('sojourn')}")
