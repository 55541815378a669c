"""Credentials of external nodes, and the TLS context that they give."""

from __future__ import annotations

import base64
import ssl
import tempfile

from appliance.rules.node import NodeConfig, require


class Credentials(NodeConfig, frozen=True, kw_only=True):
    """type: "anonymous", "basic" or "cert.PEM" (certificates as PEM text)."""

    ignores_unknown = True

    type: str = "anonymous"
    username: str | None = None
    password: str | None = None
    ca_cert: str | None = None
    cert: str | None = None
    private_key: str | None = None

    def check(self) -> None:
        """Raises ConfigError when something is missing or the certificates cannot be used."""
        require(self.type in ("anonymous", "basic", "cert.PEM"), f"unknown type {self.type!r}")
        if self.type == "basic":
            require(self.username, "the user name is missing")
        if self.type == "cert.PEM":
            require(self.ca_cert or self.cert, "a certificate is missing")
            try:
                self.tls()
            except (ssl.SSLError, OSError) as error:
                require(False, f"the certificates cannot be used: {error}")

    def basic_header(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.username or ''}:{self.password or ''}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the given authority, else this machine's, and shows the given
        certificate."""
        context = ssl.create_default_context(cadata=self.ca_cert or None)
        if self.cert and self.private_key:
            # ssl takes certificates from files only
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(f"{self.cert}\n{self.private_key}\n")
                file.flush()
                context.load_cert_chain(file.name, password=self.password)
        return context
