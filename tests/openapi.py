"""Hold answers against openapi.json."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from api.handlers.operations import OPENAPI

DOCUMENT: dict[str, Any] = json.loads(OPENAPI)


def resolve(node: Any) -> Any:
    """The node, or what its ``$ref`` points to."""
    while "$ref" in node:
        pointer = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for token in pointer:
            node = node[token.replace("~1", "/").replace("~0", "~")]
    return node


def check_answer(method: str, path: str, status: int, headers: Any, body: bytes) -> None:
    """Fail unless the document has this answer to this request."""
    operation = _operation(method, path.partition("?")[0])
    if operation is None:
        expected = {"responses": {"404": {"$ref": "#/components/responses/NotFound"}}}
        if status == 405:
            expected = {"responses": {"405": {"$ref": "#/components/responses/MethodNotAllowed"}}}
        operation = expected
    responses = operation["responses"]
    assert str(status) in responses, f"{method} {path} has no {status} in openapi.json"
    response = resolve(responses[str(status)])
    for name, header in response.get("headers", {}).items():
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


def _operation(method: str, path: str) -> Any:
    for template, item in DOCUMENT["paths"].items():
        pattern = re.sub(r"\{[^}]*\}", "[^/]+", template)
        if re.fullmatch(pattern, path):
            return item.get(method.lower())
    return None


def _validate(instance: Any, schema: Any) -> None:
    document_with_root = {**DOCUMENT, "$schema": Draft202012Validator.META_SCHEMA["$id"]}
    rooted = {**document_with_root, **({"$ref": schema["$ref"]} if "$ref" in schema else schema)}
    validator_for(rooted, default=Draft202012Validator)(
        rooted, format_checker=Draft202012Validator.FORMAT_CHECKER
    ).validate(instance)
