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

# Each matches from a short prefix of the secret on, so that it does not matter how much of it a window shows.
_SHAPES = re.compile(
    "|".join(
        (
            _START + r"sk-[\w-]{12,}",  # OpenAI, Anthropic and others
            _START + r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,}|whsec_[A-Za-z0-9+/=]{8,}",  # Stripe
            r"gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}",  # GitHub, GitLab
            r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}",  # AWS
            r"AIza[\w-]{24,}|ya29\.[\w-]{16,}",  # Google
            r"xox[a-z]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}",  # Slack
            _START + r"(?:hf|npm|lsv2_(?:pt|sk))_\w{16,}|pypi-[\w-]{16,}",  # Hugging Face, registries, LangSmith
            _START + r"eyJ[\w-]{10,}(?:\.[\w-]*)*",  # JSON web tokens
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
            r"(?P<bearer>(?i:bearer)(?:\s|%20|\+)+)[\w.~+/=%-]{8,}",
            r"(?<=://)(?P<user>[^\s/:@]{0,128}:)[^\s/]{1,256}@",  # user:password@host
        )
    ),
    re.DOTALL,
)

# A name and `:` or `=`; the name may be quoted, and the quotes escaped where JSON holds JSON.
_NAMED = re.compile(r"(?P<quote>\\{0,8}[\"']|)(?<![\w.-])(?P<name>[\w.-]+)(?P=quote)\s*[:=]\s*")
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
    text = _SHAPES.sub(_replacement, text)
    return _without_named(text, keys) if keys is not None else text


def _replacement(match: re.Match[str]) -> str:
    if match["bearer"]:
        return f"{match['bearer']}{REDACTED}"
    if match["user"]:
        return f"{match['user']}{REDACTED}@"
    return REDACTED


def _without_named(text: str, keys: re.Pattern[str]) -> str:
    kept, copied, at = [], 0, 0
    while match := _NAMED.search(text, at):
        at = match.end()
        if is_sensitive(keys, match["name"]):
            replacement, end = _value(text, at, match["name"])
            kept += [text[copied:at], replacement]
            copied = at = end
    return "".join([*kept, text[copied:]]) if kept else text


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
