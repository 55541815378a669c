"""PROPAGATION: values for related entities (spec §7).

Without a script each argument that is new goes out under its name, with the newest time that any
argument has; with one, the script's result goes out. An entity that becomes related gets what is
known at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from appliance.fields.arguments_cell import ArgumentsCell, belongs_to
from appliance.fields.cell import Cells, Effect, Moment, NotYet, Reason, Result
from appliance.fields.config import Field, PropagationConfig
from appliance.fields.scripting import FieldScript
from appliance.fields.sources import related
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from appliance.state.view import StateView


class PropagationCell(ArgumentsCell):
    """What one entity hands on. script: None where the arguments themselves go out."""

    def __init__(
        self,
        field: Field,
        config: PropagationConfig,
        script: FieldScript | None,
        entity: EntityId,
        since_ms: int,
        kept: bytes | None,
    ) -> None:
        self._config = config
        self._script = script
        self._served: set[EntityId] = set()
        self._is_restored = kept is not None and belongs_to(field, kept)
        super().__init__(field, config.arguments, entity, since_ms, kept)

    def sources(self, view: StateView) -> set[EntityId]:
        """See Cell; related entities are among them so that a new one is noticed."""
        targets = set(self._targets(view))
        if self._is_restored:  # whoever is related when the process begins has what is known
            self._served, self._is_restored = targets, False
        self._served &= targets  # who comes back gets what is known
        return super().sources(view) | targets

    def _targets(self, view: StateView) -> list[EntityId]:
        return related(self._config.relation, self.entity, view)[: self.field.limits.related_max]

    def missing(self, moment: Moment) -> list[str]:
        """See ArgumentsCell; without a script one argument is enough. Raises NotYet."""
        missing = super().missing(moment)
        if self._script is None and self.arguments.singles:
            missing = []
        if not self._targets(moment.view):
            raise NotYet(
                "No entities found via 'Propagation path to related entities'. "
                "Verify the configured relation type and direction."
                + (f" Missing arguments to propagate: {', '.join(missing)}" if missing else "")
            )
        return missing

    def calculate(self, moment: Moment) -> Iterable[Effect]:
        """See ArgumentsCell."""
        targets = self._targets(moment.view)
        wanted = targets
        if moment.reason is Reason.CHANGED:
            wanted = [target for target in targets if target not in self._served]
        self._served = set(targets)
        data = self._result(moment)
        return [Result(target, data) for target in wanted]

    def _result(self, moment: Moment) -> object:
        if self._script is not None:
            return self._script.run(self.arguments, moment.now_ms)
        values: dict[str, Value] = {
            name: single.value
            for name, single in self.arguments.singles.items()
            if moment.reason is not Reason.VALUES or name in moment.changed
        }
        if self._config.output.type == "ATTRIBUTES":
            return values
        return {"ts": self.arguments.latest_ts(moment.now_ms), "values": values}

    def shown(self, moment: Moment) -> Any:
        """See Cell; the related entities are shown as an argument."""
        targets = [target.to_json() for target in self._targets(moment.view)]
        context = {"type": "PROPAGATION_CF_ARGUMENT_VALUE", "value": targets}
        return super().shown(moment) | ({"propagationCtx": context} if targets else {})


def propagation_cells(field: Field) -> Cells:
    """Compile the script, where there is one, once for all entities."""
    config = field.config
    assert isinstance(config, PropagationConfig)
    script = None
    if config.apply_expression_to_resolved_arguments:
        script = FieldScript(config.expression or "", config.arguments)
    return partial(PropagationCell, field, config, script)
