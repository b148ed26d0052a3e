"""Behind a proxy that adds a prefix, links begin with ``PUBLIC_URL``."""

from __future__ import annotations

from dataclasses import replace

from api.settings import Settings
from tests.http.conftest import Client, serving

PUBLIC_URL = "https://tickets.example.com/api"
PURCHASE = {"quantity": 2, "user_id": "406c1d05-bbb2-4e94-b183-7d208c2692e1"}


async def test_links_begin_with_the_public_url(settings: Settings, database: str) -> None:
    async with serving(database, replace(settings, public_url=PUBLIC_URL)) as served:
        client = Client(served.port)
        created = await client.post("/ticket_options", {"name": "a", "desc": "", "allocation": 3})
        option = created.headers["Location"].removeprefix(PUBLIC_URL)
        purchased = await client.post(f"{option}/purchases", PURCHASE)
        client.close()

    assert created.headers["Location"] == f"{PUBLIC_URL}{option}"
    assert option.startswith("/ticket_options/")
    assert purchased.headers["Location"].startswith(f"{PUBLIC_URL}{option}/purchases/")
