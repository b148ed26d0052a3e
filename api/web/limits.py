"""How large a request may be, and how long it may take to arrive."""

from __future__ import annotations

HEAD_BYTES_MAX = 16 * 1024
"""Request line and headers together."""

BODY_BYTES_MAX = 64 * 1024
"""A larger body is answered with 413."""

DISCARDED_BYTES_MAX = 1024 * 1024
"""A body that is too large is still read to its end, up to this size, so that the connection can be
kept. Beyond it, the 413 is sent at once and the connection closed."""

HEAD_TIMEOUT_SECONDS = 75.0
"""How long a connection may be idle, or take to send the head of a request."""

BODY_TIMEOUT_SECONDS = 20.0
"""How long the body of a request may take to arrive."""
