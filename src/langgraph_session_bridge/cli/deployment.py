"""Which deployment a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langgraph_session_bridge import embedded
from langgraph_session_bridge.bridge import MONGODB_URI_VARIABLE, REDIS_URL_VARIABLE
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.errors import ConfigurationError, InvalidInputError, UnavailableError
from langgraph_session_bridge.settings import Settings

MongoUri = Annotated[str | None, typer.Option(envvar=MONGODB_URI_VARIABLE, help="Its MongoDB.", show_envvar=True)]
RedisUrl = Annotated[str | None, typer.Option(envvar=REDIS_URL_VARIABLE, help="Its Redis.", show_envvar=True)]
Database = Annotated[str | None, typer.Option(help="Database of the deployment.", show_default="langgraph")]
Prefix = Annotated[str | None, typer.Option(help="Prefix of its Redis keys.", show_default="lsb")]


def chosen(database: str | None, prefix: str | None) -> Settings:
    """Settings with what was given on the command line."""
    given = {"database": database, "prefix": prefix}
    return Settings.create(**{name: value for name, value in given.items() if value is not None})


def opened(
    uri: str | None, url: str | None, database: str | None, prefix: str | None, path: Path | None
) -> SessionBridgeSaver:
    """A saver on the deployment; servers are contacted when it is entered."""
    uri, url = addresses(uri or None, url or None, path)
    settings = chosen(database, prefix)
    return SessionBridgeSaver.from_conn_string(uri, url, database=settings.database, prefix=settings.prefix)


def addresses(uri: str | None, url: str | None, path: Path | None) -> tuple[str, str | None]:
    """Those given, or those of embedded servers that run."""
    if path is not None and uri:
        raise InvalidInputError("Give --path (embedded servers) or addresses, not both.")
    if uri:
        return uri, url
    if url:
        raise ConfigurationError(f"{MONGODB_URI_VARIABLE} (or --mongodb-uri) is missing: a journal needs an archive.")
    found = embedded.status(path)
    if found.mongodb_uri is None or found.redis_url is None:
        message = (
            f"There is nothing to examine: {MONGODB_URI_VARIABLE} is not set, and no embedded servers run in "
            f"{found.path}. Set it (and {REDIS_URL_VARIABLE}) to your servers, or run: session-bridge up"
        )
        raise UnavailableError(message)
    return found.mongodb_uri, found.redis_url
