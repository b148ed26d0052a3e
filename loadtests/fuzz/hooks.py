"""What Schemathesis must know about the contract, but openapi.json cannot express."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure, MalformedJson
from schemathesis.openapi.checks import MissingContentType, RejectedPositiveData
from tornado.httputil import HTTPHeaders

from loadtests.harness import openapi


@schemathesis.check
def is_in_the_document(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Check the answer as all other tests do, even one to a request outside every operation."""
    headers = HTTPHeaders({name: ",".join(values) for name, values in response.headers.items()})
    path = urlsplit(str(response.request.url)).path
    openapi.check_answer(case.method, path, response.status_code, headers, response.content)


@schemathesis.hook
def filter_failure(
    context: HookContext, failure: Failure, case: Case[Any], response: Response
) -> bool:
    """Whether to keep a check's failure: not if the contract wants it so."""
    if isinstance(failure, MissingContentType | MalformedJson):
        # OpenAPI has no optional response body. This answer has a body only if Prefer asks for it.
        return not (_is_purchase(case) and response.status_code == 201 and not response.content)
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        if not response.content:
            # To HEAD, which does not say why.
            return "after" not in (case.query or {})
        problem = json.loads(response.content)
        if problem["code"] == "idempotency_key_reused":
            # The key is well formed; that it was used with a different body is not in the schema.
            return False
        return not all(_is_beyond_schema(case.body, error) for error in problem["errors"])
    return True


def _is_purchase(case: Case[Any]) -> bool:
    return bool(case.operation.definition.raw["operationId"] == "purchaseTickets")


def _is_beyond_schema(body: Any, error: Mapping[str, str]) -> bool:
    """Whether JSON Schema could not have told that this is wrong; the descriptions do."""
    if error.get("parameter") == "after":
        # A UUID, but not one of the list's.
        return True
    pointer, detail = error["pointer"], error["detail"]
    if pointer == "/on_sale_until" and detail == "must be later than on_sale_from":
        return True
    if pointer == "/quantity" and detail.endswith("which is what the purchase has"):
        return True
    # 2.0 counts as an integer there.
    return _is_float(body, pointer)


def _is_float(body: Any, pointer: str) -> bool:
    return isinstance(body, Mapping) and isinstance(body.get(pointer[1:]), float)
