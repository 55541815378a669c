"""The Edge Appliance: a ThingsBoard edge in one executable.

trio_asyncio must be imported before anything that imports grpclib: grpclib keeps
`asyncio.current_task` in a module global when it is imported, and on Python 3.12 and later a call
made through that early copy fails with "no running event loop".
"""

import trio_asyncio as _trio_asyncio  # noqa: F401  - import order is the purpose

__version__ = "0.1.0"
