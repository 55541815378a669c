"""SCRIPT: whatever a TBEL script makes of the arguments (spec §7).

An object is stored key by key, a list item by item; anything else is nothing, without an error.
Decimals of the output are not applied: the script rounds for itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from appliance.fields.arguments_cell import ArgumentsCell
from appliance.fields.cell import Cells, Effect, Moment, Result
from appliance.fields.config import Field, ScriptConfig
from appliance.fields.scripting import FieldScript
from appliance.model.ids import EntityId


class ScriptCell(ArgumentsCell):
    """The result of a script."""

    def __init__(
        self,
        field: Field,
        config: ScriptConfig,
        script: FieldScript,
        entity: EntityId,
        since_ms: int,
        kept: bytes | None,
    ) -> None:
        self._script = script
        super().__init__(field, config.arguments, entity, since_ms, kept)

    def calculate(self, moment: Moment) -> Iterable[Effect]:
        """See ArgumentsCell."""
        return [Result(self.entity, self._script.run(self.arguments, moment.now_ms))]


def script_cells(field: Field) -> Cells:
    """Compile the script once for all entities."""
    config = field.config
    assert isinstance(config, ScriptConfig)
    return partial(ScriptCell, field, config, FieldScript(config.expression, config.arguments))
