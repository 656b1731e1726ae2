"""No audio in metadata: bytes and base64 are refused wherever they hide; text is not mistaken for them."""

from __future__ import annotations

import array
import base64
import json
import math
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_session_bridge.errors import InvalidTypeError, ValueTooLargeError
from langgraph_session_bridge.records.audio.models import AudioArtifact, AudioSessionMetadata
from langgraph_session_bridge.records.audio.no_audio import checked

NOISE = secrets.token_bytes(1_600)
SILENCE = bytes(1_600)

AUDIO: dict[str, Any] = {
    "bytes": NOISE,
    "bytearray": bytearray(NOISE),
    "memoryview": memoryview(NOISE),
    "no bytes": b"",
    "base64": base64.b64encode(NOISE).decode(),
    "base64 of silence": base64.b64encode(SILENCE).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(NOISE).decode(),
    "base64 in lines": base64.encodebytes(NOISE).decode(),
    "base64 in lines of a mail": base64.encodebytes(NOISE).decode().replace("\n", "\r\n"),
    "hexadecimal": NOISE.hex(),
    "data address": "data:audio/wav;base64," + base64.b64encode(NOISE).decode(),
    "inside JSON": json.dumps({"event": "media", "payload": base64.b64encode(NOISE).decode()}),
}

TEXT = {
    "speech": "and then, after a while, we said that it would be fine " * 200,
    "a list of words": "\n".join(["synchronisation"] * 900),
    "digests": " ".join(["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"] * 40),
    "digests in lines": "\n".join(["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"] * 40),
    "a token": "eyJ" + "a" * 700 + "." + "b" * 700,
    "an address": "https://storage.example/" + "/".join(["a-bucket_1"] * 60) + "?signature=" + "f" * 512,
    "no spaces": "説明" * 2_000,
    "a short digest": "f" * 1_024,
}


@pytest.mark.parametrize("audio", AUDIO.values(), ids=AUDIO)
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: {"x": [1, {"y": a}]}, lambda a: [(a,)]], ids="012")
def test_audio_is_refused_at_any_depth_and_told_what_to_store(audio: Any, wrap: Any) -> None:
    with pytest.raises(InvalidTypeError, match=r"recording.*artifact\(uri, size_bytes=…, sha256=…\)") as refused:
        checked(wrap(audio), "recording")
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("audio", AUDIO.values(), ids=AUDIO)
def test_models_refuse_audio_in_any_field(audio: Any) -> None:
    for fields in (
        {"metadata": {"recording": audio}},
        {"anything": [audio]},
        {"provider_refs": {"openai": {"session_id": "s", "more": audio}}},
        {"artifacts": [{"id": "a", "uri": "s3://b/a.wav", "preview": audio}]},
        {"artifacts": [AudioArtifact(id="a", uri="s3://b/a.wav"), {"id": "b", "uri": audio}]},
    ):
        with pytest.raises(InvalidTypeError, match=r"artifact\(uri"):
            AudioSessionMetadata(thread_id="t", **fields)
        with pytest.raises(InvalidTypeError, match=r"artifact\(uri"):
            AudioSessionMetadata.model_validate({"thread_id": "t", **fields})


@pytest.mark.parametrize("text", TEXT.values(), ids=TEXT)
def test_text_is_not_mistaken_for_audio(text: str) -> None:
    assert checked({"note": text}, "metadata") == {"note": text}


@given(st.binary(min_size=800, max_size=4_000), st.text(max_size=40), st.text(max_size=40))
def test_base64_of_anything_is_found_within_any_text(audio: bytes, before: str, after: str) -> None:
    with pytest.raises(InvalidTypeError):
        checked(before + base64.b64encode(audio).decode() + after, "metadata")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_plain_stays_as_it_is(value: Any) -> None:
    assert checked(value, "metadata") == value


def test_tuples_sets_and_times_are_plain() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert checked({"a": (1, 2), "b": {3}, "c": moment}, "metadata") == {"a": [1, 2], "b": [3], "c": moment}


@pytest.mark.parametrize(
    "value", [array.array("h", [1, 2]), object(), {1: 2}, math.sin, 1j], ids=lambda value: type(value).__name__
)
def test_what_cannot_be_stored_is_refused(value: Any) -> None:
    with pytest.raises(InvalidTypeError, match="metadata"):
        checked({"x": value}, "metadata")


def test_what_is_too_large_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in ("some words " * 2_000, 2**63, -(2**63) - 1, endless):
        with pytest.raises(ValueTooLargeError, match="metadata"):
            checked(value, "metadata")
