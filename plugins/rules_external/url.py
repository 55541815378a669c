"""A URL as the reference makes it of a text: each part percent-encoded by its own rules.

A percent sign is a character like any other, so `%20` goes out as `%2520`; who means a blank writes
one. Parameters of one name stand together, an equals sign within a value is encoded, a path has no
empty steps, and a fragment is not sent.
"""

from __future__ import annotations

import re
from urllib.parse import quote

_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?")
_PARAMETER = re.compile(r"([^&=]+)(=?)([^&]*)")
_PATH_SAFE = "/!$&'()*+,;=:@"
_PARAMETER_SAFE = "/?!$'()*+,;:@"


def encoded_url(text: str) -> str:
    """The URL to ask for; one without scheme or host is left to whoever connects."""
    match = _PARTS.match(text)
    scheme, authority, path, query = match.groups() if match else (None, None, text, None)
    url = f"{scheme.lower()}:" if scheme else ""
    url += f"//{authority}" if authority is not None else ""
    url += quote(re.sub("/+", "/", path), safe=_PATH_SAFE)
    return f"{url}?{_encoded_query(query)}" if query else url


def _encoded_query(query: str) -> str:
    parameters: dict[str, list[str]] = {}
    for name, equals, value in _PARAMETER.findall(query):
        encoded = quote(name, safe=_PARAMETER_SAFE)
        whole = encoded + equals + quote(value, safe=_PARAMETER_SAFE)
        parameters.setdefault(encoded, []).append(whole)
    return "&".join(whole for of_name in parameters.values() for whole in of_name)
