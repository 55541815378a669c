"""The local picture in memory: entities, credentials, attributes, relations, alarms.

Rebuilt from storage at start, changed only by units that are durable.
"""
