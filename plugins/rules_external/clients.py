"""What the clients share: optional libraries, and the words of an error."""

from __future__ import annotations

import importlib
from types import ModuleType

from appliance.model.errors import ConfigError


def client_library(module: str, extra: str) -> ModuleType:
    """Import a library of an optional extra. Raises ConfigError that says how to install it.

    By name at run time, so that neither the start of the appliance nor the frozen binary pays for
    a library that no chain uses; in the plugin folder the binary finds it too.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"not installed: pip install edge-appliance[{extra}], or for the binary unpack the "
            f"wheels of {module} into a folder of the plugin folder ({error})"
        ) from None


def reason_of(error: BaseException) -> str:
    """An error in words: its own, or those of what caused it, as Trio wraps what TLS says."""
    found: BaseException | None = error
    while found is not None:
        if text := str(found):
            return text
        found = found.__cause__
    return type(error).__name__
