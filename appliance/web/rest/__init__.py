"""ThingsBoard's REST paths (spec/device-and-rest-api.md §4), over state, storage and commands.

Reads come from the state in memory and from storage; whatever changes something becomes a
`Commands` call of the role, which makes it durable and tells rules and the other side.
"""
