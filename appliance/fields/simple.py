"""SIMPLE: arithmetic over single values (spec §7)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from appliance.fields.arguments_cell import ArgumentsCell
from appliance.fields.cell import Cells, Effect, FieldError, Moment, Result
from appliance.fields.config import Field, SimpleConfig
from appliance.fields.numbers import double_of, rounded
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from appliance.rules.expression import BadExpression, Expression


class SimpleCell(ArgumentsCell):
    """One number from numbers, texts that are numbers, and booleans (1 and 0).

    expression: or why there is none.
    """

    def __init__(
        self,
        field: Field,
        config: SimpleConfig,
        expression: Expression | str,
        entity: EntityId,
        since_ms: int,
        kept: bytes | None,
    ) -> None:
        self._config = config
        self._expression = expression
        super().__init__(field, config.arguments, entity, since_ms, kept)

    def calculate(self, moment: Moment) -> Iterable[Effect]:
        """See ArgumentsCell."""
        if self.arguments.windows:
            raise FieldError(
                "Rolling argument entry is not supported for simple calculated fields."
            )
        output = self._config.output
        number = rounded(self._number(), output.decimals_by_default)
        if not output.name:
            raise FieldError("the output has no name")
        data = {output.name: number}
        if self._config.use_latest_ts and output.type == "TIME_SERIES":
            ts = self.arguments.latest_ts(moment.now_ms)
            return [Result(self.entity, {"ts": ts, "values": data})]
        return [Result(self.entity, data)]

    def _number(self) -> float:
        if isinstance(self._expression, str):
            raise FieldError(self._expression)
        values = {
            name: _number_of(name, single.value) for name, single in self.arguments.singles.items()
        }
        try:
            return self._expression.evaluate(values)
        except BadExpression as error:
            raise FieldError(str(error)) from None


def simple_cells(field: Field) -> Cells:
    """Compile the expression; a bad one fails each calculation, as on the reference."""
    config = field.config
    assert isinstance(config, SimpleConfig)
    expression: Expression | str
    try:
        expression = Expression(config.expression, config.arguments, implied_products=False)
    except BadExpression as error:
        expression = str(error)
    return partial(SimpleCell, field, config, expression)


def _number_of(name: str, value: Value) -> float:
    number = double_of(value)
    if number is None:
        raise FieldError(f"Argument '{name}' is not a number.")
    return number
