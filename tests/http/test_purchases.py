from __future__ import annotations

from tests.http.conftest import Client

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"


async def test_a_purchase_takes_tickets_and_answers_without_a_body(client: Client) -> None:
    option = await client.new_option(allocation=10)

    answer = await client.post(f"{option}/purchases", {"quantity": 2, "user_id": USER})

    assert answer.code == 201
    assert answer.body == b""
    assert answer.headers["Content-Length"] == "0"
    assert answer.headers["Location"].startswith(f"{option}/purchases/")
    assert await client.left(option) == 8
