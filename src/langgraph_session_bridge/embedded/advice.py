"""What to do where embedded servers cannot run: the words that the errors of this package share."""

from __future__ import annotations

ALTERNATIVES = (
    "Alternatives: servers of your own through their URLs "
    "(`SessionBridge.from_conn_string(mongodb_uri, redis_url)`), "
    "`docker compose up` with this project's `compose.yaml`, or binaries on PATH "
    "(`mongod`; `valkey-server` or `redis-server` >= 6.2)."
)

DEBIAN_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libresolv.so.2": "libc6",
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libatomic.so.1": "libatomic1",
}
"""Shared library to the Debian and Ubuntu package that holds it."""


def missing_library(name: str) -> str:
    """Say that a shared library is missing, and how to install it where that is known."""
    package = DEBIAN_PACKAGES.get(name)
    remedy = f" (Debian, Ubuntu: `apt-get install {package}`)" if package else ""
    return f"the shared library {name} is missing{remedy}"
