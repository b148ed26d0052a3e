"""A buyer's connection sends each request once, and reconnects after it breaks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from loadtests.harness import connection
from loadtests.harness.connection import Connection
from loadtests.harness.service import wait_for
from loadtests.onsale.visits import Answer
from loadtests.proof.ledger import NO_ANSWER

BODY = b'{"quantity": 1}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A server that answers each request as the test says.

    Attributes:
        heads: of the requests received.
        connections: the number accepted.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/under/here/"
        self.heads: list[bytes] = []
        self.connections = 0
        self.answers: Iterator[Callable[[socket.socket], None]] = iter(())
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        # Wakes up accept(), which close() alone does not.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            accepted.settimeout(5)
            with accepted, suppress(OSError):
                self._answer(accepted)

    def _answer(self, accepted: socket.socket) -> None:
        data = b""
        while received := accepted.recv(65536):
            data += received
            head, end, body = data.partition(b"\r\n\r\n")
            if end and (not head.startswith(b"POST") or body == BODY):
                self.heads.append(head)
                data = b""
                answer = next(self.answers, None)
                if answer is None:
                    return
                answer(accepted)


@pytest.fixture
def peer() -> Iterator[Peer]:
    new_peer = Peer()
    yield new_peer
    new_peer.close()


def send(data: bytes) -> Callable[[socket.socket], None]:
    return lambda accepted: accepted.sendall(data)


def post(buyer: Connection) -> Answer:
    return buyer.ask("POST", "/purchases", BODY, {"Content-Type": "application/json"})


def test_a_connection_is_reused(peer: Peer) -> None:
    peer.answers = iter([send(OK)] * 3)
    buyer = Connection(peer.url)
    assert [post(buyer) for _ in range(3)] == [Answer(200, {"Content-Length": "2"}, b"ok")] * 3
    buyer.close()
    assert peer.connections == 1
    assert peer.heads[0].startswith(b"POST /under/here/purchases HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nLoc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"?",
    ],
    ids=["nothing", "part of a line", "part of the head", "part of the body", "not HTTP"],
)
def test_a_request_whose_connection_breaks_is_not_resent(peer: Peer, answer: bytes) -> None:
    def answer_and_close(accepted: socket.socket) -> None:
        accepted.sendall(answer)
        accepted.shutdown(socket.SHUT_RDWR)

    peer.answers = iter([send(OK), answer_and_close, send(OK)])
    buyer = Connection(peer.url)
    assert [post(buyer).status for _ in range(3)] == [200, NO_ANSWER, 200]
    buyer.close()
    assert (len(peer.heads), peer.connections) == (3, 2)


def test_a_connection_that_was_closed_while_it_was_idle_is_opened_again(peer: Peer) -> None:
    def answer_and_close(accepted: socket.socket) -> None:
        accepted.sendall(OK)
        accepted.shutdown(socket.SHUT_RDWR)

    peer.answers = iter([answer_and_close, send(OK)])
    buyer = Connection(peer.url)
    assert post(buyer).status == 200
    wait_for(lambda: connection._has_ended(buyer._http.sock), "the end to arrive")
    assert post(buyer).status == 200
    buyer.close()
    assert (len(peer.heads), peer.connections) == (2, 2)


def test_an_answer_that_comes_too_late_is_no_answer(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "TIMEOUT_SECONDS", 0.05)
    peer.answers = iter([send(b""), send(OK)])
    buyer = Connection(peer.url)
    assert [post(buyer).status for _ in range(2)] == [NO_ANSWER, 200]
    buyer.close()


def test_a_missing_service_gives_no_answer() -> None:
    assert post(Connection("http://127.0.0.1:1")).status == NO_ANSWER
