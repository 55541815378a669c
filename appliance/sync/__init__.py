"""The ThingsBoard edge protocol, role-neutral: messages, packing, retry, appliers.

Nothing here opens a socket or a file; protobuf libraries live in the transport plugin.
"""
