"""What a one-file executable must see to itself; not called when run from source.

The executable is two processes: a loader that unpacks and waits, and the appliance, its child.
Signals sent to the loader are passed on, but SIGKILL cannot be, so the child asks the system to
be killed with it; otherwise a "killed" appliance would live on and hold ports and data folder.
"""

from __future__ import annotations

import ctypes
import signal
import ssl
from collections.abc import MutableMapping
from pathlib import Path

AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL and its kin
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine
)
"""Where systems keep what they trust. The OpenSSL inside looks where the build machine has it."""

_PR_SET_PDEATHSIG = 1


def settle(environ: MutableMapping[str, str]) -> None:
    """Die with the loader, and trust what this system trusts."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    trust_system(environ)


def trust_system(environ: MutableMapping[str, str]) -> None:
    """Point OpenSSL at the system's authorities where its own default is not there."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        return
    found = next((file for file in AUTHORITIES if Path(file).is_file()), None)
    if found:
        environ.setdefault("SSL_CERT_FILE", found)
