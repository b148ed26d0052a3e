"""What a client is told when nobody knows whether its request was carried out."""

from __future__ import annotations

from types import TracebackType

from api.database.errors import UnavailableError
from api.problems import MAY_BE_CHANGED, MAY_BE_DONE, MAY_BE_STORED, UNAVAILABLE, Problem


class _Unavailable:
    """Within it, that the outcome is unknown is a problem with this detail."""

    def __init__(self, detail: str) -> None:
        self._detail = detail

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, UnavailableError):
            raise Problem(UNAVAILABLE, self._detail) from error


storing = _Unavailable(MAY_BE_STORED)
changing = _Unavailable(MAY_BE_DONE)
changing_option = _Unavailable(MAY_BE_CHANGED)
