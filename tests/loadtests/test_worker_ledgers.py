"""The ledger travels from the load workers to the master, and to a file, without a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.onsale.worker_ledgers import Outbox, WorkerLedgers
from loadtests.proof.ledger import Ledger
from tests.loadtests.entries import ledger, nonsense, purchase, read

ENTRIES = [purchase(201, 2, 0.1, 0.2), purchase(0, 3), nonsense(), read(8, 1 / 3, 2 / 3)]


def travel(part: Any) -> Any:
    """The part, as it arrives: Locust sends MessagePack."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(part))


def test_all_entries_of_all_workers_arrive() -> None:
    gathered = Ledger()
    worker_ledgers = WorkerLedgers(gathered)
    worker_ledgers.expect("a")
    for worker in "ab":
        noted = ledger(10)
        outbox = Outbox(noted)
        for entry in ENTRIES:
            noted.entries.append(entry)
            worker_ledgers.add(worker, travel(outbox.next_part()))
        assert worker_ledgers.open() == {worker}
        noted.entries += ENTRIES
        worker_ledgers.add(worker, travel(outbox.next_part(is_last=True)))

    assert gathered.entries == ENTRIES * 4
    assert worker_ledgers.open() == set()
    assert worker_ledgers.losses() == []


def test_a_worker_whose_last_part_does_not_come_is_a_loss() -> None:
    worker_ledgers = WorkerLedgers(Ledger())
    worker_ledgers.expect("a")
    worker_ledgers.add("b", Outbox(ledger(10, *ENTRIES)).next_part())
    assert worker_ledgers.open() == {"a", "b"}
    assert worker_ledgers.losses() == [
        "load worker a is gone, and what it noted is not complete",
        "load worker b is gone, and what it noted is not complete",
    ]


def test_a_part_that_got_lost_on_its_way_is_a_loss() -> None:
    worker_ledgers = WorkerLedgers(Ledger())
    noted = ledger(10, *ENTRIES)
    outbox = Outbox(noted)
    outbox.next_part()
    noted.entries += ENTRIES[:1]
    worker_ledgers.add("a", outbox.next_part(is_last=True))
    assert worker_ledgers.losses() == ["load worker a noted 5 requests, and 1 arrived"]


def test_a_worker_that_has_nothing_to_say_does_not_take_part() -> None:
    worker_ledgers = WorkerLedgers(Ledger())
    worker_ledgers.add("idle", Outbox(Ledger()).next_part())
    assert worker_ledgers.open() == set()


def test_what_is_no_part_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        WorkerLedgers(Ledger()).add("a", {"entries": [["read"]]})


def test_a_ledger_that_was_written_is_read_as_it_was(tmp_path: Path) -> None:
    written = ledger(10, *ENTRIES)
    written.deleted = {"gone"}
    written.write(tmp_path / "ledger.jsonl")

    was_read = Ledger.read(tmp_path / "ledger.jsonl")

    for name in ("title", "capacities", "deleted", "entries"):
        assert getattr(was_read, name) == getattr(written, name)


def test_a_file_that_is_cut_off_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger(10, *ENTRIES).write(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(msgspec.DecodeError):
        Ledger.read(path)
