from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api import problems
from api.problems import Problem
from api.schemas import NewPurchase, NewTicketOption
from api.web.bodies import Decoder

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"
OPTION = {"name": "example", "desc": "sample description", "allocation": 100}
PURCHASE = {"quantity": 2, "user_id": USER}

DECODERS: dict[str, Decoder[Any]] = {
    "option": Decoder(NewTicketOption),
    "purchase": Decoder(NewPurchase),
}

# Without lone surrogates: those are JSON too, but the fast path cannot read them.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 2),
    st.integers(2_147_483_645, 2_147_483_650),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.sampled_from(["", " ", "\u3000", "\u0000", "x" * 255, "x" * 256, "y" * 10_001]),
    st.uuids().map(str),
    st.uuids().map(lambda each: str(each).upper()),
    st.uuids().map(lambda each: each.hex),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=10
)
WITH_SURROGATES = st.text(st.characters(categories=["Cs", "Lu", "So"]), min_size=1)


def bodies(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these members, or without, good ones or any values, and with other members."""
    known = {name: st.just(value) | VALUES | WITH_SURROGATES for name, value in good.items()}
    return st.builds(
        lambda others, these: others | these,
        st.dictionaries(TEXTS, VALUES, max_size=3),
        st.fixed_dictionaries(known) | st.fixed_dictionaries({}, optional=known),
    )


BODIES = {"option": bodies(OPTION), "purchase": bodies(PURCHASE)}


def fast(decoder: Decoder[Any], text: str) -> Any:
    """What the decoder makes of the text in one step; None if that step refuses it."""
    try:
        return decoder._decode(text)
    except msgspec.DecodeError:
        return None


def slow(decoder: Decoder[Any], text: str) -> Any:
    """What the decoder makes of the text member by member; None if it refuses it."""
    try:
        return decoder._decode_member_by_member(text)
    except Problem:
        return None


def refused(decoder: Decoder[Any], body: bytes) -> Problem:
    """The problem that the body is."""
    with pytest.raises(Problem) as caught:
        decoder.decode(body)
    return caught.value


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.data())
def test_both_ways_to_decode_agree_on_every_object(name: str, data: st.DataObject) -> None:
    text = json.dumps(data.draw(BODIES[name]))

    assert fast(DECODERS[name], text) == slow(DECODERS[name], text)


@pytest.mark.parametrize("name", DECODERS)
@given(value=VALUES)
def test_both_ways_to_decode_agree_on_every_value(name: str, value: Any) -> None:
    text = json.dumps(value)

    assert fast(DECODERS[name], text) == slow(DECODERS[name], text)


@given(quantity=st.integers(1, 2_147_483_647), user_id=st.uuids(), others=VALUES)
def test_every_good_purchase_is_decoded_both_ways(quantity: int, user_id: Any, others: Any) -> None:
    body = {"quantity": quantity, "user_id": str(user_id), "others": others}
    expected = NewPurchase(quantity, str(user_id))

    assert fast(DECODERS["purchase"], json.dumps(body)) == expected
    assert slow(DECODERS["purchase"], json.dumps(body)) == expected


@pytest.mark.parametrize("name", DECODERS)
@given(
    body=st.one_of(
        st.binary(),
        st.text('{}[]":,0123456789.eE+-\\/u \t\n\ud83cntrfalsiy', max_size=60).map(
            lambda text: text.encode("utf-8", "surrogatepass")
        ),
        st.builds(
            lambda start, middle, end: (
                json.dumps(PURCHASE | OPTION).encode()[:start]
                + middle
                + json.dumps(PURCHASE | OPTION).encode()[end:]
            ),
            st.integers(0, 150),
            st.binary(max_size=3),
            st.integers(0, 150),
        ),
    )
)
@example(body=b"")
@example(body=b"\xef\xbb\xbf{}")
@example(body=b"[" * 30_000)
@example(body=b'{"quantity":' + b"[" * 30_000 + b"]" * 30_000 + b"}")
@example(body=b'{"x":' * 10_000 + b"1" + b"}" * 10_000)
@example(body=b'{"quantity": ' + b"9" * 60_000 + b"}")
@example(body=b'{"quantity": -' + b"9" * 60_000 + b"}")
@example(body=b'{"quantity": 0.' + b"9" * 60_000 + b"e" + b"9" * 5000 + b"}")
@example(body=b'{"name": "' + b"x" * 60_000 + b'\\u0000"}')
@example(body=b'{"name": "\\ud800", "\\udc00": "\\ud800"}')
def test_no_bytes_are_anything_but_decoded_or_a_problem(name: str, body: bytes) -> None:
    refusal = None
    try:
        DECODERS[name].decode(body)
    except Problem as problem:
        refusal = problem

    if refusal is not None:
        assert refusal.kind in (problems.MALFORMED_JSON, problems.INVALID)
        assert bool(refusal.errors) == (refusal.kind is problems.INVALID)
        assert json.loads(refusal.body())


@pytest.mark.parametrize(
    ("name", "member"), [("option", "name"), ("option", "desc"), ("purchase", "user_id")]
)
@pytest.mark.parametrize("text", ["\ud800", "a\udc00b", "\udf00\ud83c", "\U0001f3ab\ud83c"])
def test_a_lone_surrogate_in_a_member_is_refused(name: str, member: str, text: str) -> None:
    body = {**OPTION, **PURCHASE, member: text}

    problem = refused(DECODERS[name], json.dumps(body).encode())

    assert [error.pointer for error in problem.errors] == [f"/{member}"]


def test_a_surrogate_in_an_unknown_member_is_nothing_to_the_service() -> None:
    decoded = DECODERS["purchase"].decode(json.dumps({**PURCHASE, "x": "\ud800"}).encode())

    assert decoded == NewPurchase(2, USER)


def test_a_member_that_is_given_twice_counts_as_it_was_given_last() -> None:
    body = f'{{"quantity": 1, "quantity": 3, "user_id": "{USER}"}}'.encode()

    assert DECODERS["purchase"].decode(body) == NewPurchase(3, USER)


@pytest.mark.parametrize(
    ("name", "body", "errors"),
    [
        (
            "purchase",
            {"quantity": 0, "user_id": "me"},
            {
                "/quantity": "must be an integer from 1 to 2147483647",
                "/user_id": "must be a UUID such as 406c1d05-bbb2-4e94-b183-7d208c2692e1",
            },
        ),
        (
            "option",
            {"name": "", "desc": None, "allocation": -1},
            {
                "/name": "must be a string of 1 to 255 Unicode characters, not only white space, "
                "without U+0000",
                "/desc": "must be a string of at most 10000 Unicode characters, without U+0000",
                "/allocation": "must be an integer from 0 to 2147483647",
            },
        ),
        ("option", {"desc": ""}, {"/name": "is required", "/allocation": "is required"}),
    ],
)
def test_each_member_that_is_wrong_is_told_what_would_be_right(
    name: str, body: dict[str, Any], errors: dict[str, str]
) -> None:
    problem = refused(DECODERS[name], json.dumps(body).encode())

    assert problem.kind is problems.INVALID
    assert {error.pointer: error.detail for error in problem.errors} == errors


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
def test_only_utf_8_is_json(name: str, encoding: str) -> None:
    text = json.dumps({**OPTION, **PURCHASE, "desc": "caf\u00e9"}, ensure_ascii=False)

    assert isinstance(DECODERS[name].decode(text.encode()), msgspec.Struct)
    assert refused(DECODERS[name], text.encode(encoding)).kind is problems.MALFORMED_JSON
