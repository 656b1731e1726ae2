"""Made-up secrets of the shapes that capture must know; made when needed, so that no file looks as if it held one."""

from __future__ import annotations

import string

from hypothesis import strategies as st

_LETTERS = string.ascii_letters + string.digits


def _run(at_least: int, letters: str = _LETTERS) -> st.SearchStrategy[str]:
    return st.text(letters, min_size=at_least, max_size=at_least + 60)


def _named(prefix: str, at_least: int, letters: str = _LETTERS) -> st.SearchStrategy[tuple[str, str]]:
    """A whole secret, and the part of it that must not be found afterwards."""
    return _run(at_least, letters).map(lambda rest: (prefix + rest, rest))


def _token() -> st.SearchStrategy[tuple[str, str]]:
    part = _run(16, _LETTERS + "-_")
    return st.tuples(part, part, part).map(lambda three: ("eyJ" + ".".join(three), ".".join(three)))


def _pem() -> st.SearchStrategy[tuple[str, str]]:
    dashes = "-" * 5
    kinds = st.sampled_from(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
    body = _run(64, _LETTERS + "+/\n")
    return st.tuples(kinds, body).map(
        lambda two: (
            f"{dashes}BEGIN {two[0]}PRIVATE KEY{dashes}\n{two[1]}\n{dashes}END {two[0]}PRIVATE KEY{dashes}",
            two[1],
        )
    )


def _address() -> st.SearchStrategy[tuple[str, str]]:
    return _run(8, _LETTERS + "!#$%*@").map(lambda password: (f"mongodb://ann:{password}@db.example/", password + "@"))


shapes = st.one_of(
    _named("sk-", 16, _LETTERS + "-_"),
    _named("sk-ant-api03-", 16, _LETTERS + "-_"),
    _named("sk_live_", 16),
    *(_named(f"gh{letter}_", 36) for letter in "pousr"),
    _named("github_pat_", 22, _LETTERS + "_"),
    _named("glpat-", 20, _LETTERS + "-_"),
    st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16).map(lambda rest: ("AKIA" + rest, rest)),
    _named("AIza", 35, _LETTERS + "-_"),
    _named("xoxb-", 20, _LETTERS + "-"),
    _named("hf_", 30),
    _named("Bearer ", 16, _LETTERS + "._~+/-"),
    _named("bearer ", 16),
    _token(),
    _pem(),
    _address(),
)
