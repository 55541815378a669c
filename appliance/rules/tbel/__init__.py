"""TBEL, the script language of rule nodes, by our own interpreter.

Text → tokens (`lexer`) → tree (`parser`) → closures (`compiler`). Every part imitates the reference
(TBEL 1.2.8) as recorded in tests/fixtures/corpus/tbel.json: a script that gives a value there gives
the same value here. What we let pass and the reference does not is listed in `families`.

Limits (see `limits`): 400 000 steps, 8 MB, 100 calls deep, 50 000 characters.
"""

from __future__ import annotations

from appliance.rules.tbel import (
    lib_bytes,
    lib_date,
    lib_geo,
    lib_lists,
    lib_maps,
    lib_math,
    lib_misc,
    lib_objects,
    lib_parse,
    lib_rarities,
    lib_sets,
    lib_strings,
)
from appliance.rules.tbel.errors import LimitError, TbelError, TbelSyntaxError
from appliance.rules.tbel.families import FAMILIES, Family, Warning_
from appliance.rules.tbel.limits import DEFAULT, Limits
from appliance.rules.tbel.script import Script, compile_script, plain

LIBRARIES = (
    lib_objects, lib_math, lib_strings, lib_lists, lib_maps, lib_sets, lib_parse, lib_bytes,
    lib_misc, lib_geo, lib_date, lib_rarities,
)  # fmt: skip

__all__ = [
    "DEFAULT",
    "FAMILIES",
    "Family",
    "LimitError",
    "Limits",
    "Script",
    "TbelError",
    "TbelSyntaxError",
    "Warning_",
    "compile_script",
    "plain",
]
