"""From the facets of many writers to what is known of a session's audio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from langgraph_session_bridge.records.audio.counting import (
    Path,
    count_writers,
    read_highest,
    read_registers,
    read_sketches,
    read_totals,
)
from langgraph_session_bridge.records.audio.models import (
    AudioActivity,
    AudioArtifact,
    AudioConnection,
    AudioCounters,
    AudioFormat,
    AudioSessionMetadata,
    AudioUsage,
    LatencySummary,
    ProviderReference,
)
from langgraph_session_bridge.records.audio.sketch import NANOSECONDS
from langgraph_session_bridge.storage.facets import StoredRecord

KIND = RECORD_ID = "audio"
ARTIFACT, MESSAGE = "a-", "m-"

_END_OF_TIME = 2**53


def first_rank(moment: int) -> int:
    """The rank of a facet of which the earliest version stays."""
    return _END_OF_TIME - moment


def read_audio(stored: StoredRecord) -> AudioSessionMetadata:
    """What all writers together know of a session's audio."""
    registers = _groups({**read_registers(stored), **read_highest(stored)})
    totals = _groups(read_totals(stored))
    return AudioSessionMetadata(
        thread_id=stored.thread_id,
        connection=AudioConnection(**registers["connection"]),
        format=AudioFormat(**registers["format"]),
        activity=AudioActivity(**registers["activity"]),
        counters=AudioCounters.model_validate(_in_seconds(totals["counters"])),
        latency={path[1]: LatencySummary.of(sketch) for path, sketch in sorted(read_sketches(stored).items())},
        usage=[
            AudioUsage(provider=provider, model=model, **amounts)
            for (provider, model), amounts in sorted(_deeper(totals["usage"]).items())
        ],
        artifacts=_artifacts(stored),
        transcript_message_ids=[row["id"] for row in _by_time(stored, MESSAGE)],
        provider_refs={
            name: ProviderReference(**fields) for (name,), fields in sorted(_deeper(registers["provider_refs"]).items())
        },
        metadata=registers["metadata"],
        writers=count_writers(stored),
    )


def _groups(values: Mapping[Path, Any]) -> defaultdict[str, dict[Any, Any]]:
    """By the first name of the path; the rest of it is the key, plain if it is one name."""
    found: defaultdict[str, dict[Any, Any]] = defaultdict(dict)
    for (group, *rest), value in values.items():
        found[group][rest[0] if len(rest) == 1 else tuple(rest)] = value
    return found


def _deeper(values: Mapping[Path, Any]) -> dict[Path, dict[str, Any]]:
    """By all but the last name of the path."""
    found: defaultdict[Path, dict[str, Any]] = defaultdict(dict)
    for path, value in values.items():
        found[path[:-1]][path[-1]] = value
    return found


def _in_seconds(totals: Mapping[str, int]) -> dict[str, int | float]:
    return {
        f"{name.removesuffix('_ns')}_s" if name.endswith("_ns") else name: (
            total / NANOSECONDS if name.endswith("_ns") else total
        )
        for name, total in totals.items()
    }


def _artifacts(stored: StoredRecord) -> list[AudioArtifact]:
    """In the order in which they were first told; what was told later of the same one adds to it."""
    found: dict[str, dict[str, Any]] = {}
    for row in _by_time(stored, ARTIFACT):
        found.setdefault(row["id"], {}).update(row)
    return [AudioArtifact(**{name: value for name, value in row.items() if name != "at"}) for row in found.values()]


def _by_time(stored: StoredRecord, prefix: str) -> list[Mapping[str, Any]]:
    return [row for _, row in sorted(_named(stored, prefix), key=lambda named: (named[1]["at"], named[0]))]


def _named(stored: StoredRecord, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, facet) for name, facet in stored.facets.items() if name.startswith(prefix))
