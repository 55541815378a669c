"""The standard library that plugins from outside may count on, frozen or not."""

from __future__ import annotations

import sys

_TOYS = "antigravity this idlelib tkinter _tkinter turtle turtledemo lib2to3 test"
_INSTALLERS = "ensurepip venv pydoc_data"
_OTHER_SYSTEMS = """nt winreg winsound msilib _msi msvcrt _winapi _overlapped _wmi nturl2path
    _scproxy _aix_support _ios_support _android_support _osx_support"""
_RARELY_BUILT = "_dbm _gdbm nis ossaudiodev spwd crypt _crypt _curses_panel _zstd"
_NOT_IN_EVERY_VERSION = "_pydatetime _pydecimal _pyio _pylong _bootsubprocess"
LEFT_OUT = frozenset(
    f"{_TOYS} {_INSTALLERS} {_OTHER_SYSTEMS} {_RARELY_BUILT} {_NOT_IN_EVERY_VERSION}".split()
)
NAMES = tuple(sorted(sys.stdlib_module_names - LEFT_OUT))
"""Top-level modules; `appliance.spec` puts them into the binary, `selftest` looks for each."""
