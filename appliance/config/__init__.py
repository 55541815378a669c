"""Configuration: one set of structs gives validation, schema, example, reference and messages.

TOML < environment < flags. Unknown names are refused, with the nearest known one; every value
knows where it came from.
"""
