"""Certificates for tests: an authority and what it signed for a server."""

from __future__ import annotations

from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

PASSWORD = "open sesame"


class Certificates:
    """PEM files in a folder: `ca`, a server's `certificate` for a name or address and its `key`,
    the key `encrypted` with `PASSWORD`, and chain and key together in `combined`."""

    def __init__(self, folder: Path, name: str = "localhost") -> None:
        self.ca = folder / "ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        self.encrypted = folder / "encrypted.key"
        self.combined = folder / "combined.pem"
        authority = trustme.CA()
        server = authority.issue_cert(name)
        authority.cert_pem.write_to_path(self.ca)
        server.private_key_pem.write_to_path(self.key)
        server.cert_chain_pems[0].write_to_path(self.certificate)
        server.private_key_and_cert_chain_pem.write_to_path(self.combined)
        self.encrypted.write_bytes(_locked(server.private_key_pem.bytes()))


def _locked(key: bytes) -> bytes:
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
