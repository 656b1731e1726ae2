"""A certificate authority for one test run, made with the `openssl` command."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_SUBJECT = "subjectAltName=IP:127.0.0.1,DNS:localhost"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files: the authority's certificate, and the server's with its key."""

    authority: Path
    server: Path

    def context(self) -> ssl.SSLContext:
        """What a server needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context


def make_certificates(folder: Path) -> Certificates:
    """Makes a certificate for 127.0.0.1 and an authority that signed it."""
    if shutil.which("openssl") is None:
        pytest.skip("the command `openssl` is missing, which makes the certificates")
    authority, key, server = folder / "ca.pem", folder / "ca-key.pem", folder / "server.pem"
    _openssl("req", "-x509", *_KEY, "-keyout", key, "-out", authority, "-days", "2", "-subj", "/CN=Test authority")
    own, request, signed = folder / "key.pem", folder / "request.pem", folder / "signed.pem"
    _openssl("req", *_KEY, "-keyout", own, "-out", request, "-subj", "/CN=127.0.0.1")
    names = folder / "names.conf"
    names.write_text(_SUBJECT)
    signing = ("-CA", authority, "-CAkey", key, "-CAcreateserial", "-days", "2", "-extfile", names)
    _openssl("x509", "-req", "-in", request, "-out", signed, *signing)
    server.write_text(signed.read_text() + own.read_text())
    return Certificates(authority=authority, server=server)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
