"""The sales: which buyers come when, and what they want."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from loadtests.onsale.sales import SALES, Sale, put_on_sale


@pytest.mark.parametrize("sale", SALES.values(), ids=SALES.keys())
def test_every_sale_ends_by_itself_and_never_has_too_many_buyers(sale: Sale) -> None:
    crowds = [sale.buyers_at(seconds / 10) for seconds in range(round(sale.seconds * 10))]
    assert all(crowd is not None and 1 <= crowd <= sale.buyers for crowd in crowds)
    assert crowds[-1] == sale.buyers
    assert sale.buyers_at(sale.seconds) is None
    assert sale.buyers_at(sale.seconds + 1) is None


@pytest.mark.parametrize("sale", SALES.values(), ids=SALES.keys())
def test_each_offer_gets_its_share_of_the_visits(sale: Sale) -> None:
    capacities = sale.capacities()
    ids = [str(number) for number in range(len(capacities))]
    random = Random(1)
    visits = Counter(int(sale.choose(ids, random)) for _ in range(10_000))
    first = 0
    for offer in sale.offers:
        own = range(first, first + offer.options)
        assert {capacities[place] for place in own} == {
            round(offer.tickets_per_second * sale.seconds)
        }
        assert sum(visits[place] for place in own) == pytest.approx(10_000 * offer.share, abs=300)
        assert all(visits[place] for place in own)
        first += offer.options
    assert first == len(ids)


def test_a_stampede_is_complete_from_the_start() -> None:
    sale = SALES["stampede"]
    assert sale.buyers_at(0) == sale.buyers


def test_a_steady_sale_fills_up() -> None:
    sale = SALES["steady"]
    crowds = [sale.buyers_at(sale.seconds * part) for part in (0, 0.1, 0.2, 0.3, 0.9)]
    assert crowds == [1, 20, 40, 60, 60]


def test_a_service_that_creates_no_option_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"http://127\.0\.0\.1:1 did not .*: it did not answer"):
        put_on_sale(SALES["stampede"], "http://127.0.0.1:1")
