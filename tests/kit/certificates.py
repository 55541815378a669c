"""Certificates for tests, made with the openssl command: an authority and a server's chain."""

from __future__ import annotations

import subprocess
from pathlib import Path

PASSWORD = "open sesame"


class Certificates:
    """PEM files in a folder: `ca`, a server's `certificate` for the name localhost and its `key`,
    the key `encrypted` with `PASSWORD`, and chain and key together in `combined`."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        self.encrypted = folder / "encrypted.key"
        self.combined = folder / "combined.pem"
        self._folder = folder
        self._make()

    def _make(self) -> None:
        days = ("-days", "2")
        pair = ("-newkey", "rsa:2048", "-nodes", *days)
        ca_key = str(self._folder / "ca.key")
        _openssl("req", "-x509", *pair, "-keyout", ca_key, "-out", str(self.ca), "-subj", "/CN=ca")
        _openssl(
            *("req", "-x509", *pair, "-subj", "/CN=localhost"),
            *("-CA", str(self.ca), "-CAkey", ca_key),
            *("-keyout", str(self.key), "-out", str(self.certificate)),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )
        _openssl(
            *("rsa", "-aes256", "-passout", f"pass:{PASSWORD}"),
            *("-in", str(self.key), "-out", str(self.encrypted)),
        )
        self.combined.write_text(self.certificate.read_text() + self.key.read_text())


def _openssl(*arguments: str) -> None:
    subprocess.run(("openssl", *arguments), check=True, capture_output=True)
