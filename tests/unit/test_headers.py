from __future__ import annotations

import re
import string
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from api import problems
from api.problems import Problem
from api.web import headers
from api.web.lane.request import RawHeaders

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def of_tornado(name: str, *values: str) -> headers.Headers:
    """Headers as Tornado's server has them after lines of this name."""
    made = HTTPHeaders()
    for value in values:
        made.parse_line(f"{name}: {value}")
    return made


def of_the_lane(name: str, *values: str) -> headers.Headers:
    """Headers as the fast lane has them after the same lines."""
    made = RawHeaders()
    made.pairs = [(b"X", b""), *((name.encode(), each.encode("latin-1")) for each in values)]
    made.close()
    return made


Of = Callable[..., headers.Headers]

of_each = pytest.mark.parametrize("of", [of_tornado, of_the_lane])


@of_each
@pytest.mark.parametrize(
    "given_id", ["1", "a" * 128, string.ascii_letters + string.digits + "._~:/+=@-"]
)
def test_a_request_id_that_may_stand_in_a_log_is_taken(of: Of, given_id: str) -> None:
    assert headers.request_id(of("x-request-id", given_id)) == given_id


@of_each
@pytest.mark.parametrize("values", [(), ("",), ("a" * 129,), ("a b",), ("a", "b"), ("caf\u00e9",)])
def test_any_other_request_id_is_replaced(of: Of, values: tuple[str, ...]) -> None:
    made = {headers.request_id(of("X-Request-ID", *values)) for _ in range(3)}

    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)
    assert len(made) == 3


@of_each
def test_no_idempotency_key_is_none(of: Of) -> None:
    assert headers.idempotency_key(of("Idempotency-Key")) is None


@of_each
@given(st.text(PRINTABLE, min_size=1, max_size=255))
def test_every_printable_key_can_be_quoted(of: Of, key: str) -> None:
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert headers.idempotency_key(of("Idempotency-Key", quoted)) == key


@of_each
@given(st.text(PRINTABLE, min_size=1, max_size=255))
def test_a_bare_key_is_taken_as_it_is_unless_it_begins_with_a_quote(of: Of, key: str) -> None:
    key = key.strip()  # as white space around a header's value is none of it
    if key and not key.startswith('"'):
        assert headers.idempotency_key(of("Idempotency-Key", key)) == key


@of_each
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
def test_any_other_key_is_malformed(of: Of, values: tuple[str, ...]) -> None:
    with pytest.raises(Problem) as caught:
        headers.idempotency_key(of("Idempotency-Key", *values))

    assert caught.value.kind is problems.MALFORMED_HEADER
    assert "Idempotency-Key" in caught.value.detail
    assert "255" in caught.value.detail


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=300))
def test_no_key_is_anything_but_a_key_or_malformed(value: str) -> None:
    try:
        key = headers.idempotency_key(of_the_lane("Idempotency-Key", value))
    except Problem:
        return

    assert key is not None
    assert 1 <= len(key) <= 255
    assert set(key) <= set(PRINTABLE)


@of_each
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
    of: Of, values: tuple[str, ...], prefers: bool
) -> None:
    assert headers.prefers_representation(of("Prefer", *values)) == prefers


@of_each
@pytest.mark.parametrize(
    ("values", "matches"),
    [
        ((), False),
        (('"a"',), True),
        (('W/"a"',), True),
        (("*",), True),
        (("*", '"b"'), True),
        (('"b"', "*"), False),
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
def test_an_entity_tag_matches_when_it_is_named(
    of: Of, values: tuple[str, ...], matches: bool
) -> None:
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


@of_each
def test_names_match_in_any_case_and_lists_keep_their_order(of: Of) -> None:
    made = of("X-TWICE", "one", "other, third")

    assert made.get("x-Twice") == "one,other, third"
    assert made.get_list("x-twice") == ["one", "other, third"]
    assert made.get("Other") is None
    assert made.get_list("Other") == []


def test_many_headers_cost_no_more_than_they_are_many() -> None:
    def cost_seconds(count: int) -> float:
        made = RawHeaders()
        made.pairs = [(b"%x" % each, b"") for each in range(count)] + [(b"0", b"")]
        costs = []
        for _ in range(5):
            began = time.perf_counter()
            made.close()
            costs.append(time.perf_counter() - began)
        return min(costs)

    # 16 times as many. Were each compared with each, it would cost 256 times as much.
    assert cost_seconds(3200) < 100 * cost_seconds(200)
