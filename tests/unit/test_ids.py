from __future__ import annotations

import os
import uuid

from api import ids


def test_new_ids_are_uuids_of_version_7_in_the_order_of_their_time() -> None:
    made = [ids.new_uuid() for _ in range(2_000)]  # more than one piece of noise is enough for

    assert {uuid.UUID(each).version for each in made} == {7}
    assert {uuid.UUID(each).variant for each in made} == {uuid.RFC_4122}
    assert len(set(made)) == len(made)
    moments = [each[:13] for each in made]
    assert moments == sorted(moments)


def test_random_digits_are_as_many_as_asked_for_and_never_the_same() -> None:
    made = [ids.random_digits(32) for _ in range(2_000)]

    assert {len(each) for each in made} == {32}
    assert len(set(made)) == len(made)


def test_a_child_process_does_not_make_the_digits_of_its_parent() -> None:
    ids.random_digits(1)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, ids.random_digits(32).encode())
        os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(reader, 32).decode() != ids.random_digits(32)


def test_a_hold_and_a_purchase_with_one_key_have_different_ids() -> None:
    option, user = ids.new_uuid(), ids.new_uuid()

    hold = ids.hold_uuid(option, user, "a")

    assert hold == ids.hold_uuid(option.upper(), user.upper(), "a")
    assert hold != ids.purchase_uuid(option, user, "a")
    assert len({hold, ids.hold_uuid(user, option, "a"), ids.hold_uuid(option, user, "b")}) == 3
