"""`doctor`: examines servers and versions, changes nothing, and says what to do about each finding."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.markup import escape
from rich.table import Table

from langgraph_session_bridge.cli.deployment import Database, MongoUri, Prefix, RedisUrl, addresses, chosen
from langgraph_session_bridge.cli.findings import Finding, of_acks, of_driver, of_mongodb, of_redis
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, out, plain
from langgraph_session_bridge.cli.servers import Directory
from langgraph_session_bridge.cli.versions import all_versions, version_of
from langgraph_session_bridge.errors import UnavailableError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.inspection import MongoFacts, RedisFacts, inspect_mongodb, inspect_redis

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(slots=True, kw_only=True)
class Examination:
    """What was found, and whether a server that should answer did not."""

    findings: list[Finding] = field(default_factory=list)
    unreachable: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The command's exit code."""
        if self.unreachable:
            return ExitCode.UNAVAILABLE
        failed = any(finding.verdict == "fail" for finding in self.findings)
        return ExitCode.PROBLEM if failed else ExitCode.OK


@command
def doctor(
    *,
    mongodb_uri: MongoUri = None,
    redis_url: RedisUrl = None,
    database: Database = None,
    prefix: Prefix = None,
    path: Directory = None,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Examine versions, servers and journal, without changing anything, and say what to do."""
    settings = chosen(database, prefix)
    uri, url = addresses(mongodb_uri or None, redis_url or None, path)
    examination = asyncio.run(_examine(uri, url, settings))
    if json:
        code = examination.exit_code
        emit({"ok": code == ExitCode.OK, "versions": all_versions(), "findings": plain(examination.findings)})
    else:
        _show(examination.findings)
    return examination.exit_code


async def _examine(uri: str, url: str | None, settings: Settings) -> Examination:
    result = Examination()
    versions = ", ".join(f"{name} {number}" for name, number in all_versions().items())
    result.findings.append(Finding(area="library", subject="versions", verdict="ok", found=versions))
    result.findings.append(of_driver(settings, version_of("motor")))
    mongodb = await _mongodb(uri, settings, result)
    if mongodb is not None:
        result.findings += of_mongodb(mongodb, settings, with_redis=url is not None)
    record: Any = (mongodb.deployment if mongodb is not None else None) or {}
    redis = await _redis(url, settings, int(record.get("shards", settings.shards)), result) if url else None
    if redis is not None:
        # Without MongoDB nobody knows whose keys these are, which is not the keys' fault.
        known = record.get("id") if mongodb is not None else next(iter(redis.deployments), None)
        result.findings += of_redis(redis, settings, known)
    if url is None:
        found = "none: every put waits for MongoDB"
        result.findings.append(Finding(area="Redis", subject="server", verdict="ok", found=found))
    result.findings += of_acks(mongodb, redis, settings)
    return result


async def _mongodb(uri: str, settings: Settings, result: Examination) -> MongoFacts | None:
    try:
        return await inspect_mongodb(uri, settings)
    except UnavailableError as error:
        advice = "Is it running? Are host, port, TLS and firewall right?"
        result.unreachable = True
        finding = Finding(area="MongoDB", subject="server", verdict="fail", found=_line(error), advice=advice)
        result.findings.append(finding)
        return None


async def _redis(url: str, settings: Settings, shards: int, result: Examination) -> RedisFacts | None:
    try:
        return await inspect_redis(url, settings, shards)
    except UnavailableError as error:
        advice = "Is it running? Puts go straight to MongoDB meanwhile, and what is unflushed waits in Redis."
        result.unreachable = True
        finding = Finding(area="Redis", subject="server", verdict="fail", found=_line(error), advice=advice)
        result.findings.append(finding)
        return None


def _line(error: Exception) -> str:
    """The first sentence of an error; drivers append their whole topology."""
    return " ".join(str(error).split()).partition(", Timeout:")[0][:200]


def _show(findings: Sequence[Finding]) -> None:
    table = Table("", "", "found", box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for finding in findings:
        colour = _COLOURS[finding.verdict]
        table.add_row(f"[{colour}]{finding.verdict}[/]", f"{finding.area} {finding.subject}", _text(finding))
    out().print(table)


def _text(finding: Finding) -> str:
    advice = f"\n[dim]→ {escape(finding.advice)}[/]" if finding.advice else ""
    return f"{escape(finding.found)}{advice}"
