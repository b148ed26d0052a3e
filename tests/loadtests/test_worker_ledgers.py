"""The ledger travels from the load workers to the master, and to a file, without loss."""

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
    """The part as it arrives: Locust sends MessagePack."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(part))


def test_all_entries_of_all_workers_arrive() -> None:
    collected = Ledger()
    worker_ledgers = WorkerLedgers(collected)
    worker_ledgers.expect("a")
    for worker in "ab":
        recorded = ledger(10)
        outbox = Outbox(recorded)
        for entry in ENTRIES:
            recorded.entries.append(entry)
            worker_ledgers.add(worker, travel(outbox.next_part()))
        assert worker_ledgers.open() == {worker}
        recorded.entries += ENTRIES
        worker_ledgers.add(worker, travel(outbox.next_part(is_last=True)))

    assert collected.entries == ENTRIES * 4
    assert worker_ledgers.open() == set()
    assert worker_ledgers.losses() == []


def test_a_worker_whose_last_part_never_arrives_is_a_loss() -> None:
    worker_ledgers = WorkerLedgers(Ledger())
    worker_ledgers.expect("a")
    worker_ledgers.add("b", Outbox(ledger(10, *ENTRIES)).next_part())
    assert worker_ledgers.open() == {"a", "b"}
    assert worker_ledgers.losses() == [
        "load worker a is gone, and its records are incomplete",
        "load worker b is gone, and its records are incomplete",
    ]


def test_a_part_lost_in_transit_is_a_loss() -> None:
    worker_ledgers = WorkerLedgers(Ledger())
    recorded = ledger(10, *ENTRIES)
    outbox = Outbox(recorded)
    outbox.next_part()
    recorded.entries += ENTRIES[:1]
    worker_ledgers.add("a", outbox.next_part(is_last=True))
    assert worker_ledgers.losses() == ["load worker a recorded 5 requests, but 1 arrived"]


def test_a_worker_without_entries_does_not_take_part() -> None:
    worker_ledgers = WorkerLedgers(Ledger())
    worker_ledgers.add("idle", Outbox(Ledger()).next_part())
    assert worker_ledgers.open() == set()


def test_an_invalid_part_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        WorkerLedgers(Ledger()).add("a", {"entries": [["read"]]})


def test_a_ledger_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = ledger(10, *ENTRIES)
    written.deleted = {"gone"}
    written.write(tmp_path / "ledger.jsonl")

    was_read = Ledger.read(tmp_path / "ledger.jsonl")

    for name in ("title", "capacities", "deleted", "entries"):
        assert getattr(was_read, name) == getattr(written, name)


def test_a_truncated_file_is_not_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger(10, *ENTRIES).write(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(msgspec.DecodeError):
        Ledger.read(path)
