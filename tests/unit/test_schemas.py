from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api import problems
from api.problems import Problem
from api.schemas import (
    NewHold,
    NewPurchase,
    NewTicketOption,
    Nothing,
    PurchaseChanges,
    TicketOptionChanges,
)
from api.web.bodies import Decoder

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"
OPTION = {"name": "example", "desc": "sample description", "allocation": 100}
PURCHASE = {"quantity": 2, "user_id": USER}
BEGIN, END = "2026-11-25T10:00:00+01:00", "2026-12-24t22:00:00.5z"
RULES = {
    "max_per_purchase": 2,
    "max_per_user": 4,
    "on_sale_from": BEGIN,
    "on_sale_until": END,
    "paused": True,
}

MOMENT = (
    "must be a date and time with an offset as in RFC 3339, such as 2026-11-25T09:00:00Z, or null"
)

DECODERS: dict[str, Decoder[Any]] = {
    "option": Decoder(NewTicketOption),
    "changes": Decoder(TicketOptionChanges),
    "purchase": Decoder(NewPurchase),
    "remaining": Decoder(PurchaseChanges),
    "hold": Decoder(NewHold),
    "nothing": Decoder(Nothing),
}
GOOD: dict[str, dict[str, Any]] = {
    "option": {**OPTION, **RULES},
    "changes": {"name": "example", "desc": "", "capacity": 5, **RULES},
    "purchase": PURCHASE,
    "remaining": {"quantity": 0},
    "hold": {**PURCHASE, "expires_in_seconds": 60},
    "nothing": {},
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
    st.sampled_from([BEGIN, END, "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z"]),
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
        st.just({}) | st.dictionaries(TEXTS, VALUES, max_size=3),
        st.fixed_dictionaries(known) | st.fixed_dictionaries({}, optional=known),
    )


BODIES = {name: bodies(good) for name, good in GOOD.items()}


def fast(decoder: Decoder[Any], text: str) -> Any:
    """What the decoder makes of the text in one step; None if that step refuses it."""
    try:
        return decoder._decode(text)
    except (msgspec.DecodeError, Problem):
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
    ("name", "member"),
    [
        ("option", "name"),
        ("option", "desc"),
        ("option", "on_sale_from"),
        ("changes", "name"),
        ("purchase", "user_id"),
        ("hold", "user_id"),
    ],
)
@pytest.mark.parametrize("text", ["\ud800", "a\udc00b", "\udf00\ud83c", "\U0001f3ab\ud83c"])
def test_a_lone_surrogate_in_a_member_is_refused(name: str, member: str, text: str) -> None:
    body = {**GOOD[name], member: text}

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
        (
            "option",
            {**OPTION, "max_per_purchase": 0, "max_per_user": 2.5, "paused": "no"},
            {
                "/max_per_purchase": "must be an integer from 1 to 2147483647, or null",
                "/max_per_user": "must be an integer from 1 to 2147483647, or null",
                "/paused": "must be true, false or null",
            },
        ),
        (
            "changes",
            {"capacity": None, "on_sale_from": "now"},
            {"/capacity": "must be an integer from 0 to 2147483647", "/on_sale_from": MOMENT},
        ),
        ("remaining", {}, {"/quantity": "is required"}),
        ("remaining", {"quantity": -1}, {"/quantity": "must be an integer from 0 to 2147483647"}),
        (
            "hold",
            {**PURCHASE, "expires_in_seconds": 86_401},
            {"/expires_in_seconds": "must be an integer from 1 to 86400"},
        ),
    ],
)
def test_each_member_that_is_wrong_is_told_what_would_be_right(
    name: str, body: dict[str, Any], errors: dict[str, str]
) -> None:
    problem = refused(DECODERS[name], json.dumps(body).encode())

    assert problem.kind is problems.INVALID
    assert {error.pointer: error.detail for error in problem.errors} == errors


@pytest.mark.parametrize("name", [name for name in DECODERS if name != "remaining"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
def test_only_utf_8_is_json(name: str, encoding: str) -> None:
    text = json.dumps({**GOOD[name], "desc": "caf\u00e9"}, ensure_ascii=False)

    assert isinstance(DECODERS[name].decode(text.encode()), msgspec.Struct)
    assert refused(DECODERS[name], text.encode(encoding)).kind is problems.MALFORMED_JSON


@pytest.mark.parametrize("name", ["option", "changes"])
def test_moments_are_written_in_utc_with_six_digits(name: str) -> None:
    decoded = DECODERS[name].decode(json.dumps(GOOD[name]).encode())

    assert decoded.on_sale_from == "2026-11-25T09:00:00.000000Z"
    assert decoded.on_sale_until == "2026-12-24T22:00:00.500000Z"


def test_what_an_option_does_not_say_is_at_its_default_and_what_a_change_does_not_say_stays() -> (
    None
):
    option = DECODERS["option"].decode(json.dumps(OPTION).encode())
    nothing = DECODERS["changes"].decode(b"{}")
    removals: dict[str, None] = dict.fromkeys(RULES)
    removed = DECODERS["changes"].decode(json.dumps(removals).encode())

    assert {name: getattr(option, name) for name in RULES} == removals
    assert msgspec.json.encode(nothing) == b"{}"
    assert msgspec.to_builtins(removed) == removals


def test_a_hold_lasts_for_ten_minutes_unless_it_says_otherwise() -> None:
    assert DECODERS["hold"].decode(json.dumps(PURCHASE).encode()) == NewHold(2, USER, 600)


@pytest.mark.parametrize("name", ["option", "changes"])
@pytest.mark.parametrize(
    ("window", "errors"),
    [
        ({"on_sale_from": END, "on_sale_until": BEGIN}, ["/on_sale_until"]),
        ({"on_sale_from": BEGIN, "on_sale_until": BEGIN}, ["/on_sale_until"]),
        # The same moment.
        ({"on_sale_from": BEGIN, "on_sale_until": "2026-11-25T09:00:00Z"}, ["/on_sale_until"]),
        ({"on_sale_from": "2026-02-30T00:00:00Z"}, ["/on_sale_from"]),
        ({"on_sale_from": "0001-01-01T00:00:00+00:01"}, ["/on_sale_from"]),
        ({"on_sale_until": "9999-12-31T23:59:59-00:01"}, ["/on_sale_until"]),
        ({"on_sale_from": "2026-11-25", "on_sale_until": "x"}, ["/on_sale_from", "/on_sale_until"]),
        ({"on_sale_from": 1, "on_sale_until": "0000-01-01T00:00:00Z"}, None),
    ],
)
def test_a_window_that_cannot_be_is_refused_besides_what_else_is_wrong(
    name: str, window: dict[str, Any], errors: list[str] | None
) -> None:
    expected = [*window] if errors is None else [each[1:] for each in errors]
    for others in ({}, {"max_per_user": 0}):
        body = {**GOOD[name], "on_sale_from": None, "on_sale_until": None, **window, **others}

        problem = refused(DECODERS[name], json.dumps(body).encode())

        assert problem.kind is problems.INVALID
        pointers = {error.pointer for error in problem.errors}
        assert pointers == {f"/{each}" for each in (*expected, *others)}
        assert len(problem.errors) == len(pointers)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_a_moment_may_be_of_the_first_and_the_last_year(moment: str) -> None:
    decoded = DECODERS["changes"].decode(json.dumps({"on_sale_from": moment}).encode())

    assert decoded.on_sale_from == f"{moment[:19]}.{moment[20:-1]:0<6}Z"


@pytest.mark.parametrize(("name", "member"), [("changes", "allocation"), ("remaining", "user_id")])
def test_a_change_that_does_nothing_is_refused(name: str, member: str) -> None:
    problem = refused(DECODERS[name], json.dumps({**GOOD[name], member: 1, "a/~": 1}).encode())

    assert [(error.pointer, error.detail) for error in problem.errors] == [
        (f"/{member}", "cannot be changed"),
        ("/a~1~0", "cannot be changed"),
    ]
