"""What no client library would send.

Each dictionary has one kind of it, by what is wrong. `REFUSED` is refused, and ends the connection:
by the fast lane with 400 and code `malformed_header`, by Tornado's server with a bare 400 or
nothing. `ODD_BUT_RIGHT` is answered. `LEFT_TO_THE_SERVER` is the one or the other. `WITHOUT_AN_END`
is refused or waited for, and never answered.
"""

from __future__ import annotations

from typing import NamedTuple

OPTION = b'{"name": "a", "desc": "", "allocation": 1}'
"""A good body of POST /ticket_options."""


def message(*lines: str | bytes, body: bytes = b"") -> bytes:
    """A request line and headers, and what follows them."""
    encoded = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
    return b"\r\n".join([*encoded, b"", body])


def get(*lines: str | bytes, target: str | bytes = "/livez") -> bytes:
    """A request without a body."""
    target = target.encode("latin-1") if isinstance(target, str) else target
    return message(b"GET " + target + b" HTTP/1.1", *lines)


def post(*lines: str | bytes, body: bytes = OPTION) -> bytes:
    """A ticket option, with these headers."""
    return message(
        "POST /ticket_options HTTP/1.1", "Content-Type: application/json", *lines, body=body
    )


def chunked(body: bytes) -> bytes:
    """A ticket option whose body claims to be in the chunked transfer coding."""
    return post("Host: a", "Transfer-Encoding: chunked", body=body)


NOT_HTTP = {
    "a word": b"nonsense\r\n\r\n",
    "U+0000": b"\x00" * 100 + b"\r\n\r\n",
    "all bytes": bytes(range(256)) + b"\r\n\r\n",
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "HTTP/2, its preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "HTTP/3": b"GET /livez HTTP/3.0\r\nHost: a\r\n\r\n",
    "HTTP/1.10": b"GET /livez HTTP/1.10\r\nHost: a\r\n\r\n",
    "http in lower case": b"GET /livez http/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a byte order mark": b"\xef\xbb\xbf" + get("Host: a"),
    "no target": b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
    "no method": b"/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method that is no token": b"G(E)T /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space before the method": b" GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space after the version": b"GET /livez HTTP/1.1 \r\nHost: a\r\n\r\n",
    "tabs for spaces": b"GET\t/livez\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": get("Host: a", target="/li vez"),
    "U+0000 in the target": get("Host: a", target="/livez\x00"),
    "an escape sequence in the target": get("Host: a", target="/\x1b[31m"),
    "a header without a colon": get("Host: a", "no colon"),
    "a header without a name": get("Host: a", ": x"),
    "a space before a colon": get("Host: a", "X : y"),
    "a space before a header": get(" Host: a"),
    "a header name in UTF-8": get("Host: a", "caf\u00e9: y".encode()),
    "U+0000 in a header": get("Host: a", "X: \x00"),
    "U+0000 in a header's name": get("Host: a", "X\x00: y"),
    "a carriage return in a header": get("Host: a", "X: a\rY: b"),
    "a vertical tab before a Transfer-Encoding": post("Host: a", "Transfer-Encoding: \x0bchunked"),
    "HTTP/1.0 with an unknown Transfer-Encoding": (
        b"POST /ticket_options HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"
    ),
}

TOO_LARGE = {
    "a request line": get("Host: a", target="/livez?" + "x" * 16_384),
    "a request line without an end": b"GET /" + b"x" * 100_000,
    "a method": b"G" * 16_384 + b" /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "one header": get("Host: a", f"X: {'x' * 16_384}"),
    "one header without an end": get("Host: a", f"X: {'x' * 100_000}").removesuffix(b"\r\n\r\n"),
    "one header of 5 MB": get("Host: a", f"X: {'x' * 5_000_000}"),
    "many headers": get("Host: a", *["X: y"] * 3_000),
    "many headers without an end": get("Host: a", *["X: y"] * 30_000).removesuffix(b"\r\n"),
}

BAD_FRAMING = {
    "no Host": post(),
    "two Hosts": post("Host: a", "Host: b"),
    "two Hosts, the same": post("Host: a", "Host: a"),
    "a Host that is no name": post("Host: a b"),
    "a Host in UTF-8": post("Host: caf\u00e9".encode()),
    "a Host with a user": post("Host: me@a"),
    "two Content-Lengths that differ": post("Host: a", "Content-Length: 42", "Content-Length: 43"),
    "two Content-Lengths in one": post("Host: a", "Content-Length: 42, 43"),
    "a Content-Length and nothing": post("Host: a", "Content-Length: ,42"),
    "a Content-Length that is no number": post("Host: a", "Content-Length: many"),
    "a negative Content-Length": post("Host: a", "Content-Length: -1"),
    "a Content-Length with a plus": post("Host: a", "Content-Length: +42"),
    "a hexadecimal Content-Length": post("Host: a", "Content-Length: 0x2a"),
    "a Content-Length with a fraction": post("Host: a", "Content-Length: 42.0"),
    "a Content-Length with a space": post("Host: a", "Content-Length: 4 2"),
    "a Content-Length with an underscore": post("Host: a", "Content-Length: 4_2"),
    "a Content-Length in superscript": post("Host: a", "Content-Length: 4\u00b2"),
    "an Arabic Content-Length": post("Host: a", "Content-Length: \u0664\u0662".encode()),
    "an empty Content-Length": post("Host: a", "Content-Length:"),
    "Content-Length and Transfer-Encoding": post(
        "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "Transfer-Encoding and Content-Length": post(
        "Host: a", "Transfer-Encoding: chunked", "Content-Length: 42"
    ),
    "two Transfer-Encodings": post(
        "Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "an unknown Transfer-Encoding": post("Host: a", "Transfer-Encoding: gzip, chunked"),
    "no Transfer-Encoding": post("Host: a", "Transfer-Encoding: identity"),
}

BAD_CHUNKS = {
    "a size that is no number": chunked(b"zz\r\n"),
    "a negative size": chunked(b"-2\r\n{}\r\n0\r\n\r\n"),
    "a size with a plus": chunked(b"+2\r\n{}\r\n0\r\n\r\n"),
    "a size with 0x": chunked(b"0x2\r\n{}\r\n0\r\n\r\n"),
    "a size with a space": chunked(b"2 \r\n{}\r\n0\r\n\r\n"),
    "no size": chunked(b"\r\n{}\r\n0\r\n\r\n"),
    "a size of 65 bits": chunked(b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "a size of 240 bits": chunked(b"F" * 60 + b"\r\n{}"),
    "a size of 9 digits and a sign": chunked(b"-00000002\r\n{}\r\n0\r\n\r\n"),
    "a size with an underscore": chunked(b"0_2\r\n{}\r\n0\r\n\r\n"),
    "an extension with a line feed": chunked(b"2;a\nb\r\n{}\r\n0\r\n\r\n"),
    "an extension with a carriage return": chunked(b"2;a\rb\r\n{}\r\n0\r\n\r\n"),
    "a trailer that is no header": chunked(b"2\r\n{}\r\n0\r\nno header\r\n\r\n"),
    "more than one request": chunked(b"0\r\n\x00\x00GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
    "sizes that lie after good ones": chunked(b"1\r\n{\r\n1\r\n}\r\nzz\r\n"),
    "a chunk that is longer than its size": chunked(b"2\r\n{}xx"),
    "a chunk that is longer than its size, and a line": chunked(b"2\r\n{}}\r\n0\r\n\r\n"),
}

REFUSED = {**NOT_HTTP, **TOO_LARGE, **BAD_FRAMING, **BAD_CHUNKS}


class Odd(NamedTuple):
    """A request that is odd but right."""

    sent: bytes
    method: str
    path: str
    status: int


ODD_BUT_RIGHT = {
    "a blank line before it": Odd(b"\r\n" + get("Host: a"), "GET", "/livez", 200),
    "no space after the colon": Odd(get("Host:a"), "GET", "/livez", 200),
    "tabs around a value": Odd(get("Host:\ta\t"), "GET", "/livez", 200),
    "2000 headers": Odd(get("Host: a", *["X: y"] * 2_000), "GET", "/livez", 200),
    "a header in Latin-1": Odd(get("Host: a", "X: caf\u00e9"), "GET", "/livez", 200),
    "a header in UTF-8": Odd(get("Host: a", "X: caf\u00e9".encode()), "GET", "/livez", 200),
    "a header of all that may be in one": Odd(
        get("Host: a", b"X: " + bytes(range(0x21, 0x7F)) + bytes(range(0x80, 0x100))),
        "GET",
        "/livez",
        200,
    ),
    "a request id in UTF-8": Odd(
        get("Host: a", "X-Request-ID: caf\u00e9".encode()), "GET", "/livez", 200
    ),
    "a whole URI as the target": Odd(get("Host: a", target="http://b/livez"), "GET", "/livez", 200),
    "an URI without a path": Odd(get("Host: a", target="http://b"), "GET", "/", 404),
    "a fragment": Odd(get("Host: a", target="/livez#x"), "GET", "/livez#x", 404),
    "percents that encode nothing": Odd(
        get("Host: a", target="/%/%zz/%0/%u1234"), "GET", "/%/%zz/%0/%u1234", 404
    ),
    "percents that encode no UTF-8": Odd(
        get("Host: a", target="/%ff%c0%80%00"), "GET", "/%ff%c0%80%00", 404
    ),
    "OPTIONS *": Odd(message("OPTIONS * HTTP/1.1", "Host: a"), "OPTIONS", "*", 404),
    "a registered method that nobody has": Odd(
        message("M-SEARCH /livez HTTP/1.1", "Host: a"), "M-SEARCH", "/livez", 405
    ),
    "a body on GET": Odd(
        message("GET /livez HTTP/1.1", "Host: a", "Content-Length: 9", body=b"GET / HTT"),
        "GET",
        "/livez",
        200,
    ),
    "an upgrade": Odd(
        get("Host: a", "Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAAA"),
        "GET",
        "/livez",
        200,
    ),
    "an upgrade with a body": Odd(
        post(
            "Host: a",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAAA",
            "Content-Length: 42",
        ),
        "POST",
        "/ticket_options",
        201,
    ),
    "an upgrade with a body in chunks": Odd(
        post(
            "Host: a",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Transfer-Encoding: chunked",
            body=b"2A\r\n" + OPTION + b"\r\n0\r\n\r\n",
        ),
        "POST",
        "/ticket_options",
        201,
    ),
    "a header without a value": Odd(get("Host: a", "X:", "Y: "), "GET", "/livez", 200),
    "an empty Host": Odd(get("Host:"), "GET", "/livez", 200),
    "an IPv6 Host": Odd(get("Host: [::1]:3000"), "GET", "/livez", 200),
    "a header without a value before the length": Odd(
        post("X:", "Host: a", "Y:", "Content-Length: 42"), "POST", "/ticket_options", 201
    ),
    "an expectation that nobody knows": Odd(
        get("Host: a", "Expect: the worst"), "GET", "/livez", 200
    ),
    "a Content-Length with zeros before it": Odd(
        post("Host: a", "Content-Length: 000000042"), "POST", "/ticket_options", 201
    ),
    "chunked in capitals": Odd(
        post("Host: a", "Transfer-Encoding: CHUNKED", body=b"2A\r\n" + OPTION + b"\r\n0\r\n\r\n"),
        "POST",
        "/ticket_options",
        201,
    ),
    "a chunk for every byte": Odd(
        chunked(b"".join(b"01\r\n%c\r\n" % byte for byte in OPTION) + b"0\r\n\r\n"),
        "POST",
        "/ticket_options",
        201,
    ),
    "a Content-Type that is no text": Odd(
        message(
            "POST /ticket_options HTTP/1.1",
            "Host: a",
            "Content-Type: \xff\xfe",
            "Content-Length: 42",
            body=OPTION,
        ),
        "POST",
        "/ticket_options",
        415,
    ),
    "a body that says it is compressed": Odd(
        post("Host: a", "Content-Encoding: gzip", "Content-Length: 10", body=b"\x1f\x8b" * 5),
        "POST",
        "/ticket_options",
        415,
    ),
}

UNKNOWN_TO_TORNADO = {"a whole URI as the target"}
"""What its server takes for a path that nothing is at."""

LEFT_TO_THE_SERVER = {
    # RFC 9112, 2.2: a recipient may take a bare LF for the end of a line.
    "lines that end in LF": Odd(b"GET /livez HTTP/1.1\nHost: a\n\n", "GET", "/livez", 200),
    # RFC 9112, 2.2: it should ignore at least one; nothing is said of more.
    "blank lines before it": Odd(b"\r\n" * 9 + get("Host: a"), "GET", "/livez", 200),
    # RFC 9112, 3: it may part the request line at white space.
    "two spaces before the target": Odd(
        b"GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/livez", 200
    ),
    # RFC 9112, 2.3: neither is HTTP, but llhttp parses both, and where they end is not in doubt.
    "RTSP": Odd(b"OPTIONS /livez RTSP/1.0\r\n\r\n", "OPTIONS", "/livez", 405),
    "Icecast": Odd(b"SOURCE /livez ICE/1.0\r\n\r\n", "SOURCE", "/livez", 405),
    # RFC 9112, 3.2: a recipient of an invalid request line should answer 400; RFC 3986 allows only
    # ASCII in a target, and browsers sent more.
    "a path in Latin-1": Odd(get("Host: a", target="/caf\u00e9"), "GET", "/caf\u00e9", 404),
    "a path in UTF-8": Odd(
        get("Host: a", target="/caf\u00e9".encode()), "GET", "/caf\u00c3\u00a9", 404
    ),
    # RFC 9110, 9.1: a method that is unknown deserves 501, which a parser may not get to say.
    "a method in lower case": Odd(message("get /livez HTTP/1.1", "Host: a"), "get", "/livez", 405),
    "a method of all that may be in one": Odd(
        message("!#$%&'*+-.^_`|~ /livez HTTP/1.1", "Host: a"), "!#$%&'*+-.^_`|~", "/livez", 405
    ),
    # RFC 9110, 9.3.6: what follows is for another host, so the connection may end with the answer.
    "CONNECT": Odd(message("CONNECT a:443 HTTP/1.1", "Host: a"), "CONNECT", "a:443", 404),
    "CONNECT with a path": Odd(
        message("CONNECT /livez HTTP/1.1", "Host: a"), "CONNECT", "/livez", 405
    ),
    # RFC 9110, 8.6: refused, or taken for one.
    "two Content-Lengths, the same": Odd(
        post("Host: a", "Content-Length: 42", "Content-Length: 42"), "POST", "/ticket_options", 201
    ),
    # RFC 9112, 5.2: refused, or unfolded.
    "a folded header": Odd(get("Host: a", "X: y", " folded"), "GET", "/livez", 200),
    # RFC 9112, 7.1.1: an unknown extension is ignored; a server may refuse too many of them.
    "a chunk with an extension": Odd(
        chunked(b'2A;a=b;c="d"\r\n' + OPTION + b"\r\n0\r\n\r\n"), "POST", "/ticket_options", 201
    ),
    # RFC 9112, 7.1.2: trailers may be discarded.
    "a trailer": Odd(
        chunked(b"2A\r\n" + OPTION + b"\r\n0\r\nX: y\r\n\r\n"), "POST", "/ticket_options", 201
    ),
    # RFC 9110, 6.5.1: what frames a message is none.
    "a trailer that would be a Content-Length": Odd(
        chunked(b"2A\r\n" + OPTION + b"\r\n0\r\nContent-Length: 5\r\n\r\n"),
        "POST",
        "/ticket_options",
        201,
    ),
    "a trailer that would end the connection": Odd(
        chunked(b"2A\r\n" + OPTION + b"\r\n0\r\nConnection: close\r\n\r\n"),
        "POST",
        "/ticket_options",
        201,
    ),
    "a trailer that would be an Idempotency-Key": Odd(
        chunked(b"2A\r\n" + OPTION + b'\r\n0\r\nIdempotency-Key: "\r\n\r\n'),
        "POST",
        "/ticket_options",
        201,
    ),
    # Expecting what nobody knows may be refused with 417 (RFC 9110, 10.1.1); so may many zeros.
    "a Content-Length with 5000 zeros before it": Odd(
        post("Host: a", f"Content-Length: {'0' * 5000}42"), "POST", "/ticket_options", 201
    ),
}
"""What may be refused, or be answered in one way: with the status that it has here. When it was
answered the connection goes on or ends."""

WITHOUT_AN_END = {
    "nothing": b"",
    "blank lines": b"\r\n\r\n",
    "a chunk's size of 64 bits": chunked(b"F" * 16 + b"\r\n{}"),
    "a chunk's size of zeros": chunked(b"0" * 100),
    "an upgrade with a body": post(
        "Host: a", "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 43"
    ),
    "HTTP/0.9 with one line": b"GET /livez\r\n",
    "a request in UTF-16": get("Host: a").decode().encode("utf-16"),
    "lines that end in CR": b"GET /livez HTTP/1.1\rHost: a\r\r",
    "TLS": b"\x16\x03\x01\x00\xf5\x01\x00\x00\xf1\x03\x03" + bytes(range(0x20, 0x100)),
    "a head": get("Host: a").removesuffix(b"\r\n"),
    "a body": post("Host: a", "Content-Length: 43"),
    "a chunk's size": chunked(b"2"),
    "a chunk": chunked(b"2\r\n{"),
    "chunks": chunked(b"2\r\n{}\r\n"),
    "chunks whose lines end in LF": chunked(b"2\n{}\n0\n\n"),
}
"""What is no request yet, and may be refused at once or when its time is up."""
