"""The verdict in words and on its page, and the page's figures."""

from __future__ import annotations

import re
import uuid
from collections import Counter

import msgspec
import pytest

from loadtests.harness.postgres import connect, new_option, value
from loadtests.onsale import charts, page, timeline
from loadtests.onsale.page import BREACHES_SHOWN_MAX
from loadtests.onsale.timeline import INTERVALS, Timeline
from loadtests.onsale.verdict import BREACHES_PRINTED_MAX, Verdict, judge
from loadtests.proof.audit import Breach
from loadtests.proof.ledger import Ledger
from tests.loadtests.entries import OPTION, ledger, nonsense, purchase, read, request

BREACH = Breach("a purchase is <lost>", OPTION, "user & quantity")


def a_sale() -> Ledger:
    """10 tickets in 4 seconds: 3 sold at 0.5 s, 2 at 2 s to a buyer who has to retry."""
    return ledger(
        10,
        purchase(201, 3, 100.0, 100.5),
        purchase(0, 2, 100.0, 101.0, user="b"),
        purchase(201, 2, 101.0, 102.0, user="b"),
        purchase(201, 2, 103.0, 103.5, user="b"),
        purchase(409, 6, 102.0, 103.0),
        read(10, 100.0, 100.1),
        read(7, 101.0, 101.5),
        read(5, 102.5, 103.0),
        msgspec.structs.replace(nonsense(), sent_at=103.0, answered_at=104.0),
    )


def a_checkout() -> Ledger:
    """8 of 10 tickets held in 4 seconds: 3 are purchased, of which 2 go back, 1 is let go, and 4
    run out."""
    return ledger(
        10,
        request("hold", 201, 3, 100.0, 100.5, user="a", expires_in_seconds=2),
        request("hold", 201, 1, 100.0, 100.5, user="b", expires_in_seconds=2),
        request("hold", 0, 4, 100.0, 100.2, user="c", expires_in_seconds=2),
        request("hold", 201, 4, 100.4, 100.5, user="c", expires_in_seconds=2),
        request("hold", 409, 8, 100.0, 101.0, user="d", expires_in_seconds=2),
        request("hold purchase", 201, 3, 101.0, 101.5, user="a"),
        request("hold purchase", 201, 3, 101.5, 101.8, user="a"),
        request("release", 204, 1, 101.0, 102.0, user="b"),
        request("return", 200, 1, 102.0, 103.0, user="a"),
        request("return", 200, 1, 103.0, 104.0, user="a"),
    )


def at(points: timeline.Points, moment: float) -> float:
    """The value at the last point up to the moment."""
    return [value for when, value in points if when <= moment][-1]


def test_tickets_are_counted_once_from_the_moment_their_buyer_was_told() -> None:
    sold = Timeline(a_sale()).sold()
    assert [at(sold, moment) for moment in (0, 0.4, 0.6, 1.9, 2.1, 4)] == [0, 0, 3, 3, 5, 5]


def test_tickets_are_held_until_they_are_purchased_or_released_or_run_out() -> None:
    course = Timeline(a_checkout())
    moments = (0.4, 0.6, 1.6, 2.1, 2.6, 3.1)
    assert [at(course.held(), moment) for moment in moments] == [0, 8, 5, 4, 0, 0]
    assert [at(course.sold(), moment) for moment in moments] == [0, 0, 3, 3, 3, 1]


def test_the_page_shows_what_is_held_only_if_something_was() -> None:
    for sale, has_holds in ((a_checkout(), True), (a_sale(), False)):
        shown = page.render(Verdict(sale, [], []))
        assert ('class="line green"' in shown) == has_holds
        assert ("held, according to buyers" in shown) == has_holds
        assert ("holds acknowledged" in shown) == has_holds


def test_tickets_left_are_what_the_latest_read_of_each_option_showed() -> None:
    sale = a_sale()
    other = str(uuid.uuid4())
    sale.capacities[other] = 20
    sale.entries.append(read(18, 100.0, 102.0, option=other))
    left = Timeline(sale).left()
    assert [at(left, moment) for moment in (0, 1, 1.6, 2.1, 4)] == [30, 30, 27, 25, 23]


def test_every_request_is_in_one_interval() -> None:
    course = Timeline(a_sale())
    intervals = course.intervals()
    assert course.seconds == 4
    assert len(intervals) == INTERVALS
    total = sum((each.outcomes for each in intervals), start=Counter())
    assert total == {"acknowledged": 6, "refused": 2, "unknown": 1}
    assert intervals[-1].outcomes == {"refused": 1}
    assert [each.latencies.max for each in intervals if each.latencies][-1] == 1000


def test_percentiles_ignore_requests_without_an_answer() -> None:
    entries = [purchase(201, 1, 0, number / 1000) for number in range(1, 101)]
    found = timeline.latencies([*entries, purchase(0, 1, 0, 9)])
    assert found == pytest.approx((100, 50, 90, 99, 100))
    assert timeline.latencies([purchase(0, 1, 0, 9)]) is None


@pytest.mark.parametrize(
    ("value_max", "expected"),
    [
        (40_000, [0, 10_000, 20_000, 30_000, 40_000]),
        (41_000, [0, 10_000, 20_000, 30_000, 40_000, 50_000]),
        (5, [0, 1, 2, 3, 4, 5]),
        (0.3, [0, 0.1, 0.2, 0.3]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round_and_enclose_every_value(value_max: float, expected: list[float]) -> None:
    assert charts.ticks(value_max, 5) == pytest.approx(expected)


def test_a_good_verdict_says_so() -> None:
    verdict = Verdict(a_sale(), [], [])
    assert verdict.is_good
    assert "PASSED" in verdict.text()
    shown = page.render(verdict)
    assert "<h1>PASSED</h1>" in shown
    assert '<header class="good">' in shown
    assert "FAILED" not in shown


@pytest.mark.parametrize(
    ("breaches", "doubts", "sentence"),
    [
        ([BREACH], [], "FAILED: the promise was broken once"),
        ([BREACH] * 1234, [], "FAILED: the promise was broken 1,234 times"),
        ([], ["why <not>"], "FAILED: nothing is proven"),
        ([BREACH], ["why <not>"], "FAILED: nothing is proven"),
    ],
)
def test_a_bad_verdict_says_why(breaches: list[Breach], doubts: list[str], sentence: str) -> None:
    verdict = Verdict(a_sale(), breaches, doubts)
    assert not verdict.is_good

    text = verdict.text()
    assert text.endswith(sentence)
    assert text.count(BREACH.sentence) == min(len(breaches), BREACHES_PRINTED_MAX)
    assert ("and 1214 more" in text) == (len(breaches) == 1234)
    assert all(doubt in text for doubt in doubts)

    shown = page.render(verdict)
    assert "<h1>FAILED</h1>" in shown
    assert "PASSED" not in shown
    assert shown.count("a purchase is &lt;lost&gt;") == min(len(breaches), BREACHES_SHOWN_MAX)
    assert shown.count("user &amp; quantity") == min(len(breaches), BREACHES_SHOWN_MAX)
    assert ("And 1,134 more." in shown) == (len(breaches) == 1234)
    assert ("why &lt;not&gt;" in shown) == bool(doubts)


@pytest.mark.parametrize(
    "sale", [a_sale(), a_checkout(), Ledger()], ids=["a sale", "a checkout", "nothing"]
)
def test_the_page_is_self_contained(sale: Ledger) -> None:
    sale.title = "<script>, & more"
    shown = page.render(Verdict(sale, [], []))
    assert "$" not in shown
    assert not re.search(r"<script|src=|href=|url\(|@import", shown)
    assert "nan" not in shown.lower().replace("nonsense", "")
    for tag in ("section", "table", "svg", "div", "p", "text"):
        assert len(re.findall(rf"<{tag}[ >]", shown)) == shown.count(f"</{tag}>"), tag


def test_the_page_has_the_totals() -> None:
    shown = page.render(Verdict(a_sale(), [], []))
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>.*?</tr>", shown)]
    assert ["purchases", "3", "1", "1", "5"] in rows
    assert ["reads", "3", "0", "0", "3"] in rows
    assert ["nonsense", "0", "1", "0", "1"] in rows
    assert "<b>5</b> of 10 tickets sold" in shown


@pytest.mark.parametrize(
    ("conninfo", "reason"),
    [
        (None, "OPERATOR_DATABASE_URL is not set, so there is no database to audit"),
        ("host=/nowhere", "the audit could not be completed: OperationalError: "),
        ("no such thing", "the audit could not be completed: ProgrammingError: "),
    ],
)
def test_an_audit_that_cannot_be_completed_is_a_bad_verdict(
    conninfo: str | None, reason: str
) -> None:
    verdict = judge(ledger(10, purchase(201, 1)), conninfo, ["a doubt"])
    assert not verdict.is_good
    assert verdict.doubts[0] == "a doubt"
    assert verdict.doubts[1].startswith(reason)


def test_a_sale_without_an_acknowledged_purchase_is_a_bad_verdict(operator_url: str) -> None:
    verdict = judge(ledger(10, purchase(409, 11)), operator_url)
    assert "no purchase was acknowledged" in verdict.doubts[0]


def test_one_doubt_is_enough_for_a_bad_verdict(database: str, operator_url: str) -> None:
    with connect(database) as connection:
        option = str(new_option(connection, 10))
        user = str(uuid.uuid4())
        sell = "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid, 2)"
        stored = str(value(connection, sell, option, user))
    sale = ledger(10, purchase(201, 2, user=user, taken_id=stored, option=option), option=option)
    assert judge(sale, operator_url).is_good
    assert not judge(sale, operator_url, ["a doubt"]).is_good
