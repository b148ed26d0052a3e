"""What buyers do with the answers they get, and what the ledger records."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import get_args

import pytest

from loadtests.harness.connection import Connection
from loadtests.harness.postgres import connect
from loadtests.harness.service import Service
from loadtests.onsale.buyers import Habits, visit
from loadtests.onsale.organiser import change_capacity
from loadtests.onsale.requests import (
    Request,
    give_back,
    hold,
    nonsense,
    purchase,
    purchase_of_hold,
)
from loadtests.onsale.sales import SALES, put_on_sale
from loadtests.onsale.visits import RETRIES_MAX, Answer, Visit, play
from loadtests.proof.audit import audit
from loadtests.proof.ledger import NO_ANSWER, Entry, Kind, Ledger, now
from tests.loadtests.entries import OPTION
from tests.loadtests.procedures import changed

HABITS = Habits(hold=0.7, give_back=0.7)

ENDS = "state = 'purchased',\n                purchased_at = happens_at"
ENDS_NOT = "state = hold.state"

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
    assert f"{request.path}/{entry.id}" == answer.headers["Location"]
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


def test_buyers_with_habits_do_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    names: Counter[str] = Counter()
    for seed in range(1000):
        ledger = Ledger()
        play(visit(OPTION, Random(seed), HABITS), keeping, ledger)
        names.update(entry.kind for entry in ledger.entries)
        assert all(entry.is_expected for entry in ledger.entries)
    assert names.keys() == {
        *("read", "purchase", "nonsense", "hold", "hold purchase", "release", "return")
    }


def keeping(request: Request) -> Answer:
    """A service that does what it is asked for, and refuses what it must."""
    [*expected] = request.expected
    status = min(expected)
    if status == 201 and request.kind == "hold purchase":
        path = f"/ticket_options/{request.option_id}/purchases/{request.id}"
        return Answer(201, {"Location": path})
    if status == 201 and request.kind == "hold":
        hold_id = str(uuid.uuid4())
        members = {
            "id": hold_id,
            "ticket_option_id": request.option_id,
            "user_id": request.user_id,
            "quantity": request.quantity,
        }
        location = {"Location": f"{request.path}/{hold_id}"}
        return Answer(201, location, json.dumps(members).encode())
    if status == 201:
        return created(request)
    if status == 200 and request.kind == "return":
        return Answer(200, {}, json.dumps({"quantity": request.quantity}).encode())
    return LOOK if status == 200 else Answer(status, {}, b'{"code": "invalid"}')


def speaking_nonsense(option_id: str, random: Random) -> Visit:
    yield nonsense(option_id, str(uuid.uuid4()), random)


def test_the_service_answers_every_request_within_the_contract(
    served: Service, operator_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of nonsense really is refused, and the promise holds for a single buyer."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    ledger = Ledger()
    ledger.capacities = put_on_sale(SALES["stampede"]._replace(seconds=0.25), served.url)
    [(option_id, capacity)] = ledger.capacities.items()
    connection = Connection(served.url)
    for seed in range(100):
        play(speaking_nonsense(option_id, Random(seed)), connection.send, ledger)
    for seed in range(300):
        play(visit(option_id, Random(seed), HABITS), connection.send, ledger)
        if seed % 20 == 0:
            play(change_capacity(option_id, capacity, Random(seed)), connection.send, ledger)
    connection.close()

    assert audit(ledger, operator_url) == []
    refused = {entry.status for entry in ledger.entries if entry.kind == "nonsense"}
    assert refused == {400, 404, 405, 409, 413, 415, 422}
    done = {f"{kind} acknowledged" for kind in get_args(Kind) if kind != "nonsense"}
    assert done | {"purchase refused", "hold refused"} <= ledger.totals().keys()


def giving_back_twice(option_id: str) -> Visit:
    user_id = str(uuid.uuid4())
    answer = yield purchase(option_id, user_id, 8)
    assert answer.id is not None
    for _ in range(2):
        yield give_back(option_id, user_id, answer.id, 5)


def purchasing_a_hold(option_id: str) -> Visit:
    held = hold(option_id, str(uuid.uuid4()), 2, 600)
    answer = yield held
    assert answer.id is not None
    yield purchase_of_hold(held, answer.id)


def test_functions_that_give_back_twice_or_keep_a_hold_are_detected(
    served: Service, database: str, operator_url: str
) -> None:
    """The negative control: a return does not look at what was returned before, and a purchase
    leaves its hold as it was."""
    with connect(database) as superuser:
        superuser.execute(
            changed("try_return_tickets.sql", "quantity - purchase.returned", "quantity").encode()
        )
        superuser.execute(changed("purchase_holds_of_many.sql", ENDS, ENDS_NOT).encode())
    ledger = Ledger()
    ledger.capacities = put_on_sale(SALES["stampede"]._replace(seconds=0.25), served.url)
    [option_id] = ledger.capacities
    connection = Connection(served.url)
    for each in (giving_back_twice(option_id), purchasing_a_hold(option_id)):
        play(each, connection.send, ledger)
    connection.close()

    assert {breach.sentence for breach in audit(ledger, operator_url)} == {
        "a hold is not what became of it",
        "a purchase has more or fewer tickets than its returns left",
        "audit_allocations() found a difference",
        "option_history() does not end with what is left",
        "sold, held and left are not the capacity",
        "tickets were returned more or less often than requested",
    }
