"""Secrets in text: what has the shape of one, or follows a name that announces one, is replaced by `<redacted>`.

What is wrong in doubt is redacting too much, never too little: a value whose end cannot be found is redacted to the
end of the text. Every pattern takes time that is linear in the text.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

REDACTED = "<redacted>"

_MARGIN = 1024
"""An unfinished secret that no pattern recognises yet is shorter than this (see the bounds in `_SHAPES`)."""

# A secret may follow an escape of JSON or of a URL, whose last letter is no part of it.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2}))"

# What is in any such text in lower case, and the shape, from a short prefix on: it must not matter how much of a secret
# a window shows. Keys that hold others come first.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (hints, re.compile(pattern, re.DOTALL))
    for hints, pattern in (
        (
            ("private key",),
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        ),
        (("sk-",), _START + r"sk-[\w-]{12,}"),  # OpenAI, Anthropic and others
        (("_live_", "_test_"), _START + r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,}"),  # Stripe
        (("whsec_",), r"whsec_[A-Za-z0-9+/=]{8,}"),
        (("gho_", "ghp_", "ghs_", "ghu_", "ghr_"), r"gh[opsur]_[A-Za-z0-9]{16,}"),  # GitHub
        (("github_pat_", "glpat-"), r"(?:github_pat_|glpat-)[\w-]{16,}"),
        (("akia", "asia", "abia", "acca"), r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}"),  # AWS
        (("aiza", "ya29."), r"(?:AIza|ya29\.)[\w-]{16,}"),  # Google
        (("xox", "xapp-"), r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}"),  # Slack
        (("hf_", "npm_", "lsv2_"), _START + r"(?:hf|npm|lsv2_(?:pt|sk))_\w{16,}"),  # Hugging Face, npm, LangSmith
        (("pypi-",), r"pypi-[\w-]{16,}"),
        (("eyj",), _START + r"eyJ[\w-]{10,}(?:\.[\w-]*)*"),  # JSON web tokens
        (("bearer",), r"(?P<kept>(?i:bearer)(?:\s|%20|\+)+)[\w.~+/=%-]{8,}"),
        (("://",), r"(?<=://)(?P<kept>[^\s/:@]{0,128}:)[^\s/]{1,256}(?=@)"),  # user:password@host
    )
)

# A name and `:` or `=`, read from right to left: so it is looked for only where these are. The name may be quoted, and
# the quotes escaped where JSON holds JSON.
_NAMED_BACKWARDS = re.compile(r"[:=]\s*(?P<quote>[\"']\\{0,8}|)(?P<name>[\w.-]+)(?P=quote)")
_SPACE = re.compile(r"\s*")
_QUOTE = re.compile(r"[bBrRuUfF]{0,2}(\\{0,8}[\"'])")
_RUN = re.compile(r"[^\s&\"'(]*(?:\([^)\n]*\)?)?")
_LINE = re.compile(r"(?:[^\r\n\"'(]|\([^)\n]*\)?)*")
_HEADER = re.compile(r"(?i)authorization|cookie")
_JSON = json.JSONDecoder()

_KNOWN_CHARS = 128
"""Names up to this length are looked up, not searched again."""


def is_sensitive(keys: re.Pattern[str], name: str) -> bool:
    """Whether a name announces a secret."""
    return _known(keys, name) if len(name) <= _KNOWN_CHARS else keys.search(name) is not None


@lru_cache(maxsize=4096)
def _known(keys: re.Pattern[str], name: str) -> bool:
    return keys.search(name) is not None


def redacted(text: str, keys: re.Pattern[str] | None, limit: int | None = None) -> str:
    """The text without its secrets.

    Args:
        text: Any text.
        keys: What names of secrets look like; None looks for shapes only.
        limit: Only this many characters are needed.

    Returns:
        The redacted text; more than `limit` characters if there are more, and complete if there are not.
    """
    if limit is None:
        return _redacted(text, keys)
    window = limit + 2 * _MARGIN
    while window < len(text):
        # The end of a window may show a secret's first characters, which nothing recognises: they must be cut off.
        result = _redacted(text[:window], keys)
        if len(result) > limit + _MARGIN:
            return result[:-_MARGIN]
        window *= 2
    return _redacted(text, keys)


def _redacted(text: str, keys: re.Pattern[str] | None) -> str:
    lower = text.lower()
    for hints, shape in _SHAPES:
        if any(hint in lower for hint in hints):
            text = shape.sub(_replacement, text)
    return _without_named(text, keys) if keys is not None else text


def _replacement(match: re.Match[str]) -> str:
    return f"{match.groupdict().get('kept') or ''}{REDACTED}"


def _without_named(text: str, keys: re.Pattern[str]) -> str:
    found = [
        (len(text) - match.start(), match["name"][::-1])
        for match in _NAMED_BACKWARDS.finditer(text[::-1])
        if is_sensitive(keys, match["name"][::-1])
    ]
    kept, copied = [], 0
    for end, name in reversed(found):
        if end >= copied:
            start = _after_space(text, end)
            replacement, after = _value(text, start, name)
            kept += [text[copied:start], replacement]
            copied = after
    return "".join([*kept, text[copied:]]) if kept else text


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _value(text: str, start: int, name: str) -> tuple[str, int]:
    """What replaces the value at `start`, and where that ends."""
    if quote := _QUOTE.match(text, start):
        end = _closing(text, quote.end(), quote[1])
        return f"{quote[0]}{REDACTED}{quote[1]}", end
    if text[start : start + 1] in ("{", "["):
        return REDACTED, _json_end(text, start)
    pattern = _LINE if _HEADER.search(name) else _RUN
    match = pattern.match(text, start)
    return (REDACTED, match.end()) if match and match[0] else ("", start)


def _closing(text: str, start: int, quote: str) -> int:
    at = text.find(quote, start)
    while at > start and text[at - 1] == "\\":
        at = text.find(quote, at + 1)
    return at + len(quote) if at >= 0 else len(text)


def _json_end(text: str, start: int) -> int:
    try:
        return _JSON.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return len(text)
