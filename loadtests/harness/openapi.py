"""Checks answers against openapi.json."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from api.handlers.operations import OPENAPI

DOCUMENT: dict[str, Any] = json.loads(OPENAPI)


def operations() -> int:
    """The number of operations in the document."""
    return sum("responses" in part for item in DOCUMENT["paths"].values() for part in item.values())


def resolve(node: Any) -> Any:
    """Return the node, or what its ``$ref`` points to."""
    while "$ref" in node:
        pointer = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for token in pointer:
            node = node[token.replace("~1", "/").replace("~0", "~")]
    return node


ON_ANY_PATH = {
    "400": {"$ref": "#/components/responses/MalformedHeader"},
    "413": {"$ref": "#/components/responses/BodyTooLarge"},
    "415": {"$ref": "#/components/responses/UnsupportedMediaType"},
}
"""What any path may answer, according to `info.description`."""

OF_EVERY_ANSWER = {"date", "content-length", "content-type", "connection"}
"""Headers that need not be in the document."""


def check_answer(method: str, path: str, status: int, headers: Any, body: bytes) -> None:
    """Fail unless the document allows this answer to this request."""
    responses = _responses(method, path.partition("?")[0])
    assert str(status) in responses, f"{method} {path} has no {status} in openapi.json"
    response = resolve(responses[str(status)])
    documented = response.get("headers", {})
    unknown = {name.lower() for name in headers} - {name.lower() for name in documented}
    assert unknown <= OF_EVERY_ANSWER, f"{method} {path}: {status} with {unknown}"
    for name, header in documented.items():
        header = resolve(header)
        if header.get("required"):
            assert name in headers, f"{method} {path}: {status} without {name}"
        if name in headers:
            text = headers[name]
            is_number = resolve(header["schema"]).get("type") == "integer"
            _validate(int(text) if is_number else text, header["schema"])
    if body:
        media_type = headers["Content-Type"]
        assert media_type in response.get("content", {}), f"{media_type} is not in openapi.json"
        _validate(json.loads(body), response["content"][media_type]["schema"])
    else:
        assert method == "HEAD" or status < 400, f"{method} {path}: {status} without a body"


def check_refusal(status: int, headers: Any, body: bytes) -> None:
    """Fail unless this is the documented answer to bytes that are not a valid request."""
    assert status == 400
    check_answer("", "", status, headers, body)


def check_problem(status: int, body: bytes) -> None:
    """Fail unless this is the body of an error answer."""
    problem = json.loads(body)
    _validate(problem, {"$ref": "#/components/schemas/Problem"})
    assert problem["status"] == status


def _responses(method: str, path: str) -> Any:
    """The documented answers for the method and path."""
    not_found = {"404": {"$ref": "#/components/responses/NotFound"}}
    for template, item in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path):
            if method.isupper() and method.lower() in item:
                return item[method.lower()]["responses"]
            not_allowed = {"405": {"$ref": "#/components/responses/MethodNotAllowed"}}
            # What stands in for an id may not be one; then there is no such path.
            return {**ON_ANY_PATH, **not_allowed, **(not_found if "{" in template else {})}
    return {**ON_ANY_PATH, **not_found}


def _validate(instance: Any, schema: Any) -> None:
    document_with_root = {**DOCUMENT, "$schema": Draft202012Validator.META_SCHEMA["$id"]}
    rooted = {**document_with_root, **({"$ref": schema["$ref"]} if "$ref" in schema else schema)}
    validator_for(rooted, default=Draft202012Validator)(
        rooted, format_checker=Draft202012Validator.FORMAT_CHECKER
    ).validate(instance)
