"""What a request may take: its size, and its time to arrive; and how many may wait to connect."""

from __future__ import annotations

HEAD_BYTES_MAX = 16 * 1024
"""Request line and headers together."""

BODY_BYTES_MAX = 64 * 1024
"""A larger body is answered with 413."""

DISCARDED_BYTES_MAX = 1024 * 1024
"""A body that is too large is read to its end up to this size, so that the connection can go on.
Beyond it, the 413 is sent at once and ends the connection."""

HEAD_TIMEOUT_SECONDS = 75.0
"""How long a connection may be idle, or take to send the head of a request."""

BODY_TIMEOUT_SECONDS = 20.0
"""How long the body of a request may take to arrive."""
