"""Document names, and documents as the final BSON that both tiers hold.

A document is named by a *field* that is unique within one generation of a thread, for example `c/<ns>/<checkpoint id>`.
Redis keeps it under that field in the thread's hash; MongoDB keeps it under `<thread>/<generation>/<field>`, so that
all documents of a thread, of a namespace or of a checkpoint are one range of the primary key.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bson
from bson.int64 import Int64

from langgraph_session_bridge.errors import DataIntegrityError
from langgraph_session_bridge.storage.compression import Compress, decompress

CHUNK_BYTES = 4 * 1024 * 1024
"""Payloads above this are split over chunk documents (MongoDB's own limit is 16 MiB)."""

_MAX_SEGMENT = 128
_ID_AT = 13
"""Where the text of `_id` starts: BSON puts it first, after length (4), type (1), name (4) and its own length (4)."""

AFTER = "\U0010ffff"
"""Sorts after every name that continues a prefix."""


def segment(text: str) -> str:
    """One path segment for any string: itself where that is short and harmless, a digest otherwise."""
    if len(text) <= _MAX_SEGMENT and "/" not in text and "~" not in text and text.isprintable():
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=18).digest()
    return "~" + base64.urlsafe_b64encode(digest).decode()


def thread_prefix(thread_id: str, generation: int | None = None) -> str:
    """Prefix of the `_id` of every document of a thread, or of one generation of it."""
    base = f"{segment(thread_id)}/"
    return base if generation is None else f"{base}{generation:08x}/"


def checkpoint_field(ns: str, checkpoint_id: str = "") -> str:
    """Name of a checkpoint; the id is last and verbatim, so names sort as ids do."""
    return f"c/{segment(ns)}/{checkpoint_id}"


def part_field(ns: str, checkpoint_id: str, channel: str, version: object) -> str:
    """Name of a channel value, by the checkpoint that introduced it (branches can never share one) and the version.

    The version is there for checkpoints that are put again with other content: what their children share stays.
    """
    digest = hashlib.blake2b(repr(version).encode(), digest_size=4).hexdigest()
    return f"p/{segment(ns)}/{segment(checkpoint_id)}/{segment(channel)}/{digest}"


def writes_prefix(ns: str, checkpoint_id: str) -> str:
    """Prefix of the names of a checkpoint's pending writes."""
    return f"w/{segment(ns)}/{segment(checkpoint_id)}/"


def writes_field(ns: str, checkpoint_id: str, task_id: str, slot: str) -> str:
    """Name of one set of pending writes (slot `+<count>…`) or of one control write (slot `<negative idx>`)."""
    return f"{writes_prefix(ns, checkpoint_id)}{segment(task_id)}/{slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document before it has a place: name, small header and payload.

    `first_wins` documents keep their first content for ever (a replay changes nothing); the others are replaced by a
    put with a higher sequence.
    """

    field: str
    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    first_wins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A document in its final BSON; `field` names it in the journal, `raw` holds its `_id`."""

    field: str
    raw: bytes
    first_wins: bool = False


def split(document: Document, size: int) -> list[Document]:
    """The document itself, or its chunks and a stub that names them, if its payload of about `size` bytes is large.

    Chunks are named by the digest of the document's name and payload: storing them twice is harmless, and no two
    documents share one.
    """
    if size <= CHUNK_BYTES:
        return [document]
    body = bson.encode(document.payload)
    digest = hashlib.blake2b(document.field.encode() + b"\0" + body, digest_size=18).hexdigest()
    starts = range(0, len(body), CHUNK_BYTES)
    chunks = [
        Document(
            field=chunk_field(digest, number),
            header={},
            payload={"d": body[start : start + CHUNK_BYTES]},
            first_wins=True,
        )
        for number, start in enumerate(starts)
    ]
    return [*chunks, replace(document, payload={"x": [digest, len(chunks)]})]


def encode(
    document: Document, thread_id: str, generation: int, sequence: int = 0, *, compress: Compress | None = None
) -> Encoded:
    """Encodes a document for one generation of a thread, its payload compressed where that pays."""
    name = thread_prefix(thread_id, generation) + document.field
    frame = {"_id": name, "q": Int64(sequence), "t": thread_id}
    payload = document.payload if compress is None else _compressed(document.payload, compress)
    raw = bson.encode({**frame, **document.header, **payload})
    return Encoded(field=document.field, raw=raw, first_wins=document.first_wins)


def _compressed(payload: Mapping[str, Any], compress: Compress) -> Mapping[str, Any]:
    body = bson.encode(payload)
    shorter = compress(body)
    return {"zs": shorter} if shorter is not body else payload


def _opened(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored document with its payload."""
    return {**document, **bson.decode(decompress(document["zs"]))} if "zs" in document else document


def opened(document: Mapping[str, Any]) -> dict[str, Any]:
    """A stored document as it would be without compression."""
    return {key: item for key, item in _opened(document).items() if key != "zs"}


def chunk_field(digest: str, number: int) -> str:
    """Name of one slice of a large payload, by the digest of the whole."""
    return f"x/{digest}/{number:05d}"


def chunk_fields(document: Mapping[str, Any]) -> list[str]:
    """Names of the chunks that a stored document is continued in."""
    if not document.get("x"):
        return []
    digest, count = document["x"]
    return [chunk_field(digest, number) for number in range(count)]


def whole(documents: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """A document by name, put together from its chunks if it was split.

    Raises:
        DataIntegrityError: A chunk is missing.
    """
    document = _opened(documents[name])
    names = chunk_fields(document)
    if not names:
        return document
    if lost := [chunk for chunk in names if chunk not in documents]:
        message = f"Document {document['_id']!r} is incomplete: {len(lost)} of its {len(names)} chunks are missing."
        raise DataIntegrityError(message)
    body = bson.decode(b"".join(_opened(documents[chunk])["d"] for chunk in names))
    return {**document, **body}


def parts_of(document: Mapping[str, Any]) -> list[str]:
    """Names of the parts that a whole checkpoint document or set of pending writes refers to."""
    rows = document["v"] if "v" in document else document.get("w", ())
    return [row["o"] for row in rows if "o" in row]


def generation_of(document: Mapping[str, Any]) -> int:
    """The generation that a stored document belongs to."""
    start = len(thread_prefix(document["t"]))
    return int(document["_id"][start : start + 8], 16)


def name_of(document: Mapping[str, Any]) -> str:
    """The name of a stored document within its generation."""
    return str(document["_id"][len(thread_prefix(document["t"])) + 9 :])


def content_digest(document: Mapping[str, Any]) -> bytes:
    """What tells the rows of two sets of pending writes apart, from their documents or payloads."""
    opened = _opened(document)
    content = {"x": list(opened["x"])} if "x" in opened else {"w": [dict(row) for row in opened["w"]]}
    return hashlib.blake2b(bson.encode(content), digest_size=16).digest()


def with_rows(document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The BSON of a set of pending writes with other rows."""
    rest = {key: item for key, item in document.items() if key not in ("w", "x", "zs")}
    return bson.encode({**rest, "w": [dict(row) for row in rows]})


def re_encode(document: Mapping[str, Any]) -> bytes:
    """The BSON of a stored document."""
    return bson.encode(document)


def decode(raw: bytes) -> dict[str, Any]:
    """Decodes an encoded document."""
    return bson.decode(raw)


def with_sequence(raw: bytes, sequence: int) -> bytes:
    """The same document with the sequence that the journal gave it."""
    id_bytes = int.from_bytes(raw[_ID_AT - 4 : _ID_AT], "little")
    at = _ID_AT + id_bytes + 3  # the sequence `q` is the next element: type (1), name (2)
    return raw[:at] + sequence.to_bytes(8, "little", signed=True) + raw[at + 8 :]
