"""How plugins meet the core: hooks declare, ports behave."""
