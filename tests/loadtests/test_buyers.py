"""What buyers do with the answers they get, and what the ledger records."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from loadtests.harness.connection import Connection
from loadtests.harness.service import Service
from loadtests.onsale.buyers import RETRIES_MAX, Answer, Request, Visit, play, visit
from loadtests.onsale.sales import SALES, put_on_sale
from loadtests.proof.audit import audit
from loadtests.proof.ledger import NO_ANSWER, Entry, Ledger, now
from tests.loadtests.entries import OPTION

LOST = Answer(NO_ANSWER)
UNAVAILABLE = Answer(503, {}, b'{"code": "unavailable"}')
SOLD_OUT = Answer(409, {}, b'{"code": "sold_out"}')
LOOK = Answer(200, {}, b'{"allocation": 7}')


def created(request: Request) -> Answer:
    return Answer(201, {"Location": f"{request.path}/{uuid.uuid4()}"})


def answering(
    purchase: Callable[[Request], Answer], replay: Callable[[Request], Answer] = created
) -> Callable[[Request], Answer]:
    """A service that answers the first attempt and all retries of a purchase like this."""
    sent: Counter[str | None] = Counter()

    def answer(request: Request) -> Answer:
        if request.kind == "read":
            return LOOK
        if request.kind == "nonsense":
            return Answer(min(request.expected), {}, b'{"code": "invalid"}')
        sent[request.user_id] += 1
        return purchase(request) if sent[request.user_id] == 1 else replay(request)

    return answer


def visits(answer: Callable[[Request], Answer], count: int = 300) -> list[list[Request]]:
    """What `count` visits send to a service that answers like this."""
    sent = []
    for seed in range(count):
        requests: list[Request] = []
        buyer = visit(OPTION, Random(seed))
        try:
            requests.append(next(buyer))
            while True:
                requests.append(buyer.send(answer(requests[-1])))
        except StopIteration:
            sent.append(requests)
    return sent


def purchases(requests: list[Request]) -> list[Request]:
    return [request for request in requests if request.kind == "purchase"]


def recorded(request: Request, answer: Answer) -> Entry:
    """The ledger's entry for it."""

    def one_request() -> Visit:
        yield request

    ledger = Ledger()
    play(one_request(), lambda _: answer, ledger)
    [entry] = ledger.entries
    return entry


def test_visits_with_the_same_seed_are_the_same() -> None:
    assert visits(answering(created)) == visits(answering(created))


def test_every_visit_has_a_user_of_its_own_and_at_most_one_purchase() -> None:
    sent = visits(answering(created))
    users = [{each.user_id for each in requests if each.user_id} for requests in sent]
    assert all(len(each) == 1 for each in users)
    assert len(set.union(*users)) == len(sent)
    for requests in sent:
        assert len({(each.body, str(each.headers)) for each in purchases(requests)}) <= 1


def test_there_are_buyers_of_every_kind() -> None:
    sent = visits(answering(created), 1000)
    names = Counter(each.name for requests in sent for each in requests)
    assert names.keys() == {"look", "purchase", "nonsense", "key reused"}
    asked = {each.quantity for requests in sent for each in purchases(requests)}
    assert asked == set(range(1, 9))
    has_key = Counter("Idempotency-Key" in each[0].headers for each in map(purchases, sent) if each)
    assert has_key[True] > has_key[False] > 0


@pytest.mark.parametrize("answer", [LOST, UNAVAILABLE, Answer(500)])
def test_an_unknown_purchase_is_retried_only_if_it_has_a_key(answer: Answer) -> None:
    for requests in visits(answering(lambda _: answer, lambda _: answer)):
        attempts = purchases(requests)
        if not attempts:
            continue
        first, *others = attempts
        has_key = "Idempotency-Key" in first.headers
        assert len(others) == (RETRIES_MAX if has_key else 0)
        for other in others:
            assert (other.body, other.headers, other.path) == (
                first.body,
                first.headers,
                first.path,
            )
            assert other.pause_seconds > 0


@pytest.mark.parametrize("answer", [LOST, UNAVAILABLE])
def test_a_purchase_is_not_retried_after_a_refusal(answer: Answer) -> None:
    for requests in visits(answering(lambda _: answer, lambda _: SOLD_OUT)):
        has_key = any("Idempotency-Key" in each.headers for each in purchases(requests))
        assert len(purchases(requests)) <= 1 + has_key


def test_a_retry_must_be_acknowledged_and_a_different_quantity_refused() -> None:
    retries = [
        request
        for requests in visits(answering(created), 1000)
        for request in [*purchases(requests)[1:], *(r for r in requests if r.name == "key reused")]
    ]
    assert {(each.name, *each.expected) for each in retries} == {
        ("purchase", 201),
        ("key reused", 422),
    }


def a_purchase() -> Request:
    return next(each[0] for each in map(purchases, visits(answering(created))) if each)


@pytest.mark.parametrize(
    ("answer", "outcome", "is_expected"),
    [
        (LOST, "unknown", True),
        (UNAVAILABLE, "unknown", True),
        (Answer(500, {}, b'{"code": "internal"}'), "unknown", False),
        (Answer(502, {}, b"<html>"), "unknown", False),
        (SOLD_OUT, "refused", True),
        (Answer(409, {}, b"[]"), "refused", False),
        (Answer(409), "refused", False),
        (Answer(422, {}, b'{"code": "invalid"}'), "refused", False),
        (Answer(404, {}, b'{"code": "not_found"}'), "refused", False),
        (Answer(200, {}, b"{}"), "acknowledged", False),
        (Answer(201), "acknowledged", False),
        (Answer(201, {"Location": "/"}), "acknowledged", False),
        (
            Answer(201, {"Location": f"/ticket_options/{uuid.uuid4()}/purchases/{uuid.uuid4()}"}),
            "acknowledged",
            False,
        ),
    ],
)
def test_every_answer_to_a_purchase_is_classified(
    answer: Answer, outcome: str, is_expected: bool
) -> None:
    entry = recorded(a_purchase(), answer)
    assert (entry.outcome, entry.is_expected) == (outcome, is_expected)


def test_the_entry_of_a_purchase_has_everything_the_audit_needs() -> None:
    request = a_purchase()
    answer = created(request)
    before = now()
    entry = recorded(request, answer)
    assert entry.option_id == OPTION
    assert json.loads(request.body or b"") == {
        "quantity": entry.quantity,
        "user_id": entry.user_id,
    }
    assert f"{request.path}/{entry.purchase_id}" == answer.headers["Location"]
    assert before <= entry.sent_at <= entry.answered_at <= now()
    assert recorded(request, SOLD_OUT).code == "sold_out"


def test_an_interrupted_request_is_recorded_as_unknown() -> None:
    def interrupted(_: Request) -> Answer:
        raise KeyboardInterrupt

    ledger = Ledger()
    with pytest.raises(KeyboardInterrupt):
        play(visit(OPTION, Random(1)), interrupted, ledger)
    assert [entry.status for entry in ledger.entries] == [NO_ANSWER]


def test_a_pause_comes_before_the_request_and_is_not_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    recorded(a_purchase()._replace(pause_seconds=0.25), LOST)
    recorded(a_purchase(), LOST)
    assert pauses == [0.25]


def test_the_service_answers_every_request_within_the_contract(
    served: Service, operator_url: str
) -> None:
    """Every kind of nonsense really is refused, and the promise holds for a single buyer."""
    sale = SALES["stampede"]._replace(seconds=0.25)
    ledger = Ledger()
    ledger.capacities = put_on_sale(sale, served.url)
    [option_id] = ledger.capacities
    connection = Connection(served.url)
    sent: list[Request] = []

    def send(request: Request) -> Answer:
        sent.append(request)
        return connection.send(request)

    for seed in range(600):
        play(visit(option_id, Random(seed)), send, ledger)
    connection.close()

    assert audit(ledger, operator_url) == []
    assert {status for each in sent for status in each.expected} == {
        *(200, 201, 400, 404, 405, 409, 413, 415, 422)
    }
    assert ledger.totals().keys() == {
        *("read acknowledged", "purchase acknowledged", "purchase refused", "nonsense refused")
    }
