"""Which deployment a command is about."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_type_hints

import typer

from langgraph_session_bridge import embedded
from langgraph_session_bridge.bridge import MONGODB_URI_VARIABLE, REDIS_URL_VARIABLE
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.output import ExitCode
from langgraph_session_bridge.cli.servers import Directory
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


def on_deployment(function: Callable[..., ExitCode], **settings: Any) -> Callable[..., ExitCode]:
    """Gives a command the options that name a deployment; it gets a saver on that, entered, as its first argument."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    hints = get_type_hints(_options, include_extras=True)
    named = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=hints[name])
        for name in inspect.signature(_options).parameters
        if name != "settings"
    ]

    @functools.wraps(function)
    def run(*arguments: Any, **given: Any) -> ExitCode:
        names = {parameter.name: given.pop(parameter.name) for parameter in named}
        with _options(**names, settings=settings) as saver:
            return function(saver, *arguments, **given)

    positional = [parameter for parameter in own if parameter.kind is not Parameter.KEYWORD_ONLY]
    keywords = [parameter for parameter in own if parameter.kind is Parameter.KEYWORD_ONLY]
    run.__signature__ = Signature([*positional, *named, *keywords])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


looking_at_deployment = functools.partial(on_deployment, flush_interval_s=3600.0)
"""The same for a command that looks and moves nothing."""


def _options(
    *,
    mongodb_uri: MongoUri = None,
    redis_url: RedisUrl = None,
    database: Database = None,
    prefix: Prefix = None,
    path: Directory = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> SessionBridgeSaver:
    uri, url = addresses(mongodb_uri or None, redis_url or None, path)
    named = chosen(database, prefix)
    return SessionBridgeSaver.from_conn_string(uri, url, database=named.database, prefix=named.prefix, **settings)


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
