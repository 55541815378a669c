"""Calculated fields: values, aggregates and alarms that follow from other values (spec §7, §6.2).

A *field* is what the cloud defines (an entity of kind CALCULATED_FIELD); a *cell* is one field at
one entity: what it has seen and what it does next. Configuration (`config`, `check`), arguments
and the seven types are pure: time and state come as arguments, results go out as effects. The
engine (`engine`, with `index` and `outcome`) is the thin driver around them.
"""
