"""Lists, a page at a time: what their queries may say, and the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec

from api.problems import INVALID, ParameterError, Problem
from api.web.messages import REVALIDATED, Answer

ITEMS_DEFAULT = 50

_HEX = "[0-9a-fA-F]"
_UUID = rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"

_PARAMETERS = {
    "limit": ("[1-9][0-9]?|1[0-9]{2}|200", "must be an integer from 1 to 200"),
    "after": (_UUID, "must be what next says on another page of this list"),
    "user_id": (_UUID, "must be a UUID such as 406c1d05-bbb2-4e94-b183-7d208c2692e1"),
    "state": (
        "held|purchased|released|expired",
        "must be held, purchased, released or expired",
    ),
}
"""What a value looks like, and how to explain that to a client."""


class Page:
    """The page that a query asks for. Parameters that the list does not have are ignored.

    Attributes:
        limit: how many items it has at most.
        after: the id of the last item of the page before; None for the first page.

    Raises:
        Problem: ``invalid``, listing every invalid parameter.
    """

    def __init__(self, query: str, *filters: str) -> None:
        given = parse_qs(query, keep_blank_values=True)
        self._values: dict[str, str] = {}
        errors = []
        for name in ("limit", "after", *filters):
            pattern, must = _PARAMETERS[name]
            values = given.get(name, ())
            if len(values) == 1 and re.fullmatch(pattern, values[0]):
                self._values[name] = values[0].lower()
            elif values:
                errors.append(ParameterError(name, must))
        if errors:
            raise Problem(INVALID, errors=errors)
        self.limit = int(self._values.get("limit", ITEMS_DEFAULT))
        self.after = self._values.pop("after", None)

    def get(self, name: str) -> str | None:
        """The value of a filter, or None."""
        return self._values.get(name)

    def answer(self, path: str, items: Sequence[Any]) -> Answer:
        """The page as an answer.

        Args:
            items: one more than the page has, if there is another page.
        """
        following, headers = None, list(REVALIDATED)
        if len(items) > self.limit:
            items = items[: self.limit]
            following = f"{path}?{urlencode({'after': items[-1].id, **self._values})}"
            headers.append(("Link", f'<{following}>; rel="next"'))
        return Answer(200, msgspec.json.encode({"items": items, "next": following}), headers)


def not_a_cursor() -> Problem:
    """The problem of an ``after`` that only the database can tell is none."""
    return Problem(INVALID, errors=[ParameterError("after", _PARAMETERS["after"][1])])
