"""Plugins from outside: wheels and package folders in one folder, loaded without installing.

A wheel is put on the import path as it is, so it must be zip-safe: pure Python, no files of its
own that it opens by path. A package folder is for development, and for wheels with compiled parts
once unpacked (`python -m wheel unpack`, or unzip). Both name their plugin by entry point:

    [project.entry-points.edge_appliance]
    file = "edge_file_ingest:plugin"

A folder without metadata is taken when it is a package: the package itself is then the plugin.
What a plugin needs beyond the standard library and our own libraries lies beside it as a wheel.

Nothing here raises: what cannot be loaded is noted in the registry's failures.
"""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, DistributionFinder, EntryPoint, MetadataPathFinder
from pathlib import Path

from appliance.extension.hookspecs import PROJECT
from appliance.extension.registry import Registry
from appliance.model.errors import Fatal


def load_external(folder: Path, registry: Registry) -> None:
    """Load every wheel and folder, in order of name; a folder that is not there is empty."""
    if not folder.is_dir():
        return
    found = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
    wheels = [path for path in found if path.suffix == ".whl" and path.is_file()]
    folders = [path for path in found if path.is_dir()]
    # All wheels first, so that one can be a library of another. At the end of the path: a plugin
    # must not put its own idea of a library in the place of ours.
    sys.path.extend(str(path) for path in wheels)
    importlib.invalidate_caches()
    for wheel in wheels:
        if not zipfile.is_zipfile(wheel):
            damaged = Fatal("not a wheel: the file is damaged or no zip archive")
            registry.fail(wheel.stem, wheel.name, damaged)
        for entry in _entry_points(wheel, wheel.name, registry):
            _load(*entry, origin=wheel.name, registry=registry)
    for package in folders:
        _load_folder(package, registry)


def _load_folder(folder: Path, registry: Registry) -> None:
    is_package = (folder / "__init__.py").is_file()
    parent = str(folder.parent if is_package else folder)
    if parent not in sys.path:
        sys.path.append(parent)
        importlib.invalidate_caches()
    if is_package:
        entry = EntryPoint(folder.name, folder.name, PROJECT)
        _load(entry, "", origin=f"{folder.name}/", registry=registry)
        return
    for found in _entry_points(folder, f"{folder.name}/", registry):
        _load(*found, origin=f"{folder.name}/", registry=registry)


def _entry_points(path: Path, origin: str, registry: Registry) -> Iterator[tuple[EntryPoint, str]]:
    """Entry points of our group with the version of their distribution."""
    try:
        for distribution in _distributions(path):
            for entry in distribution.entry_points.select(group=PROJECT):
                yield entry, distribution.version
    except Exception as error:  # noqa: BLE001 - foreign metadata; told, not hidden
        registry.fail(path.stem, origin, error)


def _distributions(path: Path) -> Iterator[Distribution]:
    context = DistributionFinder.Context(path=[str(path)])
    yield from MetadataPathFinder.find_distributions(context)


def _load(entry: EntryPoint, version: str, *, origin: str, registry: Registry) -> None:
    try:
        plugin = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; told, not hidden
        registry.fail(entry.name, origin, error)
        return
    registry.add_external(plugin, entry.name, origin, version)
