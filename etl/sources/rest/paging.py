"""How one page leads to the next: a table of the kinds that there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

from etl.errors import ValidationError
from etl.settings.rest_options import Paging
from etl.sources.rest.client import Page, Request
from etl.sources.rest.paths import look_up

_PARAM = {"page": "page", "offset": "offset", "cursor": "cursor", "last_id": "starting_after"}
_SIZE_PARAM = {"offset": "limit", "cursor": "limit", "last_id": "limit", "link": "limit",
               "page": "page_size"}  # fmt: skip
_FIRST = {"page": 1, "offset": 0}
_FALSE = (False, None, "", "false", "0", 0)


def first_request(paging: Paging, request: Request) -> Request:
    """Return the request for the first page.

    Args:
        paging: of the interface.
        request: without what asks for a page.

    Example:
        >>> paging = Paging(kind="page", size=100)
        >>> first_request(paging, Request("https://api.example.com/v1")).params
        {'page_size': '100', 'page': '1'}
    """
    params = dict(request.params)
    if paging.size is not None:
        params[paging.size_param or _SIZE_PARAM.get(paging.kind, "limit")] = str(paging.size)
    if paging.kind in _FIRST:
        first = _FIRST[paging.kind] if paging.first is None else paging.first
        params[_param(paging)] = str(first)
    return replace(request, params=params)


def next_request(paging: Paging, page: Page, records: Sequence[Any]) -> Request | None:
    """Return the request for the page after one; None after the last.

    The last page is the one after which the interface says that nothing follows, and where it
    says nothing, one without records: a page that is shorter than asked for may be the rule.

    Args:
        paging: of the interface.
        page: the page.
        records: in it.

    Raises:
        ValidationError: it lacks what leads to the next one.
    """
    if paging.more and look_up(page.document, paging.more) in _FALSE:
        return None
    return _NEXT[paging.kind](paging, page, records)


def _param(paging: Paging) -> str:
    return paging.param or _PARAM[paging.kind]


def _with(request: Request, paging: Paging, value: object) -> Request:
    return replace(request, params={**request.params, _param(paging): str(value)})


def _none(_paging: Paging, _page: Page, _records: Sequence[Any]) -> Request | None:
    return None


def _page(paging: Paging, page: Page, records: Sequence[Any]) -> Request | None:
    number = int(page.request.params[_param(paging)])
    return _with(page.request, paging, number + 1) if records else None


def _offset(paging: Paging, page: Page, records: Sequence[Any]) -> Request | None:
    offset = int(page.request.params[_param(paging)])
    return _with(page.request, paging, offset + len(records)) if records else None


def _cursor(paging: Paging, page: Page, _records: Sequence[Any]) -> Request | None:
    found = look_up(page.document, paging.next)
    if found in _FALSE:
        return None
    if isinstance(found, str) and found.startswith(("https://", "http://", "/", "?")):
        return Request(urljoin(page.request.url, found))
    return _with(page.request, paging, found)


def _last_id(paging: Paging, page: Page, records: Sequence[Any]) -> Request | None:
    if not records:
        return None
    found = look_up(records[-1], paging.id)
    if found is None:
        raise ValidationError(
            f"the last record of a page of {page.request.place} has no {paging.id}, which leads to "
            "the next page",
            next_step="set paging.id of the source to the path of its id",
        )
    return _with(page.request, paging, found)


def _link(_paging: Paging, page: Page, _records: Sequence[Any]) -> Request | None:
    return Request(page.next_url) if page.next_url else None


_NEXT: Mapping[str, Callable[[Paging, Page, Sequence[Any]], Request | None]] = {
    "none": _none,
    "page": _page,
    "offset": _offset,
    "cursor": _cursor,
    "last_id": _last_id,
    "link": _link,
}
