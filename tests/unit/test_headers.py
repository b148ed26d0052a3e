from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from api import headers, problems
from api.problems import Problem

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def of(name: str, *values: str) -> HTTPHeaders:
    """Headers as they are after lines of this name have been read."""
    made = HTTPHeaders()
    for value in values:
        made.parse_line(f"{name}: {value}")
    return made


@pytest.mark.parametrize(
    "given_id", ["1", "a" * 128, string.ascii_letters + string.digits + "._~:/+=@-"]
)
def test_a_request_id_that_may_stand_in_a_log_is_taken(given_id: str) -> None:
    assert headers.request_id(of("x-request-id", given_id)) == given_id


@pytest.mark.parametrize("values", [(), ("",), ("a" * 129,), ("a b",), ("a", "b"), ("caf\u00e9",)])
def test_any_other_request_id_is_replaced(values: tuple[str, ...]) -> None:
    made = {headers.request_id(of("X-Request-ID", *values)) for _ in range(3)}

    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)
    assert len(made) == 3


def test_no_idempotency_key_is_none() -> None:
    assert headers.idempotency_key(HTTPHeaders()) is None


@given(st.text(PRINTABLE, min_size=1, max_size=255))
def test_every_printable_key_can_be_quoted(key: str) -> None:
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert headers.idempotency_key(of("Idempotency-Key", quoted)) == key


@given(st.text(PRINTABLE, min_size=1, max_size=255))
def test_a_bare_key_is_taken_as_it_is_unless_it_begins_with_a_quote(key: str) -> None:
    key = key.strip()  # as white space around a header's value is none of it
    if key and not key.startswith('"'):
        assert headers.idempotency_key(of("Idempotency-Key", key)) == key


@pytest.mark.parametrize(
    "values",
    [
        ("",),
        ('""',),
        ('"',),
        ('"a',),
        ('"a"b"',),
        ('"a\\b"',),
        ('"a\\"',),
        ('"a";b',),
        ("x" * 256,),
        (f'"{"x" * 256}"',),
        ("a\tb",),
        ("caf\u00e9",),
        ("key", "key"),
        ("one", "other"),
        ('"one"', '"other"'),
    ],
)
def test_any_other_key_is_malformed(values: tuple[str, ...]) -> None:
    with pytest.raises(Problem) as caught:
        headers.idempotency_key(of("Idempotency-Key", *values))

    assert caught.value.kind is problems.MALFORMED_HEADER
    assert "Idempotency-Key" in caught.value.detail
    assert "255" in caught.value.detail


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=300))
def test_no_key_is_anything_but_a_key_or_malformed(value: str) -> None:
    made = HTTPHeaders()
    made["Idempotency-Key"] = value
    try:
        key = headers.idempotency_key(made)
    except Problem:
        return

    assert key is not None
    assert 1 <= len(key) <= 255
    assert set(key) <= set(PRINTABLE)


@pytest.mark.parametrize(
    ("values", "prefers"),
    [
        ((), False),
        (("return=representation",), True),
        (('return="representation"',), True),
        (("RETURN=representation",), True),
        (("return=minimal",), False),
        (("wait=5", "return=representation"), True),
        (("return=minimal", "return=representation"), False),
        (("return=representation", "return=minimal"), True),
        (("return=representation;x=y",), True),
        (("x;return=representation",), False),
        (("return",), False),
        (("returns=representation",), False),
        (('x="a, return=representation"',), False),
        (('x="a\\", return=representation"',), False),
        (('x="a;b", return=representation',), True),
    ],
)
def test_the_representation_is_preferred_only_when_it_is_asked_for(
    values: tuple[str, ...], prefers: bool
) -> None:
    assert headers.prefers_representation(of("Prefer", *values)) == prefers


@pytest.mark.parametrize(
    ("values", "matches"),
    [
        ((), False),
        (('"a"',), True),
        (('W/"a"',), True),
        (("*",), True),
        (('"b", "a"',), True),
        (('"b"', '"a"'), True),
        (('"b",W/"a"',), True),
        (('"x,y", "a"',), True),
        (('"b"',), False),
        (('"A"',), False),
        (("a",), False),
        (('"b", "c"',), False),
        (('"*"',), False),
        (("",), False),
    ],
)
def test_an_entity_tag_matches_when_it_is_named(values: tuple[str, ...], matches: bool) -> None:
    assert headers.matches_etag(of("If-None-Match", *values), '"a"') == matches


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("APPLICATION/JSON;charset=UTF-8", True),
        ("application/problem+json", True),
        ("text/json", False),
        ("text/x+json", False),
        ("application/jsonl", False),
        ("application/json, text/plain", False),
        ("json", False),
        ("", False),
    ],
)
def test_only_json_says_that_it_is_json(content_type: str, is_json: bool) -> None:
    assert headers.is_json(content_type) == is_json
