"""Shipped procedures with a bug in them, for negative controls."""

from __future__ import annotations

from db import manifest


def changed(procedure: str, old: str, new: str) -> str:
    """A shipped procedure with one part replaced."""
    text = (manifest.PROCEDURES / procedure).read_text()
    assert old in text
    return text.replace(old, new)
