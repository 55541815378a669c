"""Pages of lists (spec §4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.web.errors import ApiError, whole_number

if TYPE_CHECKING:
    from appliance.web.rest.call import Call

SIZE_MAX = 50_000
"""More entities than a page can be of use for; the answer stays below some tens of MB."""
_SEARCHED = ("name", "title", "email", "type", "label", "customerTitle", "severity", "status")


class PageLink(msgspec.Struct, frozen=True):
    """Which page is asked for. start_ms, end_ms: created within, both inclusive."""

    size: int
    page: int
    text: str = ""
    sort: str | None = None
    descending: bool = False
    start_ms: int | None = None
    end_ms: int | None = None


def page_link(call: Call) -> PageLink:
    """The page that the query asks for. Raises ApiError 400."""
    size, page = (whole_number(name, call.need(name), bits=32) for name in ("pageSize", "page"))
    if size <= 0:
        message = "Page size must be greater than zero."
        raise ApiError(400, f"Incorrect page link page size '{size}'. {message}")
    if page < 0:
        raise ApiError(400, f"Incorrect page link page '{page}'. Page must be positive integer.")
    order = (call.query("sortOrder") or "ASC").upper()
    if order not in ("ASC", "DESC"):
        raise ApiError(400, f"Unsupported sort order '{order}'! Only 'ASC' or 'DESC' is allowed.")
    return PageLink(
        size=min(size, SIZE_MAX),
        page=page,
        text=(call.query("textSearch") or "").lower(),
        sort=call.query("sortProperty"),
        descending=order == "DESC",
        start_ms=call.integer("startTime"),
        end_ms=call.integer("endTime"),
    )


def page_of(items: Iterable[dict[str, Any]], link: PageLink) -> dict[str, Any]:
    """One page of the items. Raises ApiError 400 for a sort property they do not have."""
    found = [item for item in items if _matches(item, link)]
    if link.sort is not None:
        name = link.sort
        if found and not any(name in item for item in found):
            raise ApiError(400, f"Cannot sort by '{name}'")
        found.sort(key=lambda item: _order(item.get(name)), reverse=link.descending)
    start = link.page * link.size
    return page_data(found[start : start + link.size], link, len(found))


def page_data(data: list[Any], link: PageLink, total: int) -> dict[str, Any]:
    """ThingsBoard's PageData."""
    pages = -(-total // link.size)
    has_next = link.page + 1 < pages
    return {"data": data, "totalPages": pages, "totalElements": total, "hasNext": has_next}


def _matches(item: dict[str, Any], link: PageLink) -> bool:
    created = item.get("createdTime") or 0
    if link.start_ms is not None and created < link.start_ms:
        return False
    if link.end_ms is not None and created > link.end_ms:
        return False
    if not link.text:
        return True
    return any(link.text in str(item.get(name) or "").lower() for name in _SEARCHED)


def _order(value: Any) -> tuple[int, Any]:
    """Numbers among numbers, texts without regard to case, what is absent last."""
    if isinstance(value, bool | int | float):
        return (0, value)
    return (2, "") if value is None else (1, str(value).lower())
