"""What a server must make of the bytes on a connection: a table of cases and correct answers.

Correct by RFC 9112 (and RFC 9110) and, where they leave a choice, by this service's rule: what can
be read in two ways is refused with 400, `malformed_header`, and the connection is closed. Most
cases come from bug reports about servers that use Node.js's parser, h11, or parsers of their own.

Whatever is added in front of the handlers must pass all of them, however the bytes are split.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from tests.hostile import OPTION, chunked, get, message, post

GOOD = get("Host: a")
"""A request that is answered with 200 and keeps the connection open."""

LENGTH = f"Content-Length: {len(OPTION)}"
CHUNKED = "Transfer-Encoding: chunked"
IN_CHUNKS = b"2a\r\n" + OPTION + b"\r\n0\r\n\r\n"

assert len(OPTION) == 0x2A


class Case(NamedTuple):
    """What is sent over a new connection, and what the server must answer.

    Attributes:
        statuses: of the answers, in order; 100 is an interim one.
        then: whether the connection stays open for another request, or the server closes it.
        reason: why, and who got it wrong.
        client_ends: whether the client half-closes right after sending (`nc -N`).
    """

    sent: bytes
    statuses: tuple[int, ...]
    then: Literal["stays open", "closes"]
    reason: str
    client_ends: bool = False


def refused(sent: bytes, reason: str) -> Case:
    return Case(sent, (400,), "closes", reason)


HALF_CLOSED = {
    "a client that ends after its request": Case(
        GOOD,
        (200,),
        "closes",
        "RFC 9112, 9.6: a half-close is no abort, an answer is due. uvicorn #1264 dropped it.",
        client_ends=True,
    ),
    "a client that ends after a purchase's body": Case(
        post("Host: a", LENGTH),
        (201,),
        "closes",
        "As above, when the answer takes a while.",
        client_ends=True,
    ),
    "a client that ends after a chunked body": Case(
        chunked(IN_CHUNKS),
        (201,),
        "closes",
        "As above.",
        client_ends=True,
    ),
    "a client that ends after several requests": Case(
        GOOD + post("Host: a", LENGTH) + GOOD,
        (200, 201, 200),
        "closes",
        "Everything before the end is answered, in order.",
        client_ends=True,
    ),
    "a client that ends within a head": Case(
        GOOD + b"GET /liv",
        (200,),
        "closes",
        "An incomplete request is not processed.",
        client_ends=True,
    ),
    "a client that ends within a body": Case(
        post("Host: a", "Content-Length: 43"),
        (),
        "closes",
        "RFC 9112, 8: a request with an incomplete body is incomplete.",
        client_ends=True,
    ),
    "a client that ends within a chunk": Case(
        chunked(b"2b\r\n" + OPTION), (), "closes", "As above.", client_ends=True
    ),
    "a client that ends before the last chunk": Case(
        chunked(b"2a\r\n" + OPTION + b"\r\n"),
        (),
        "closes",
        "As above: without the last chunk it is truncated, however valid its JSON.",
        client_ends=True,
    ),
    "a client that ends without sending anything": Case(
        b"", (), "closes", "A port scan, a health check of a load balancer.", client_ends=True
    ),
    "a client that ends after nonsense": Case(
        b"nonsense\r\n\r\n", (400,), "closes", "It is still listening.", client_ends=True
    ),
}

KEEP_ALIVE = {
    "1.1 stays open": Case(GOOD, (200,), "stays open", "RFC 9112, 9.3."),
    "1.1 with close": Case(get("Host: a", "Connection: close"), (200,), "closes", "9.6."),
    "close in capitals": Case(
        get("Host: a", "Connection: CLOSE"), (200,), "closes", "Options are case-insensitive."
    ),
    "close in a list": Case(
        get("Host: a", "Connection: x, close"),
        (200,),
        "closes",
        "9.6: a server must close after the answer to a request with the close *option*.",
    ),
    "close in the second of two Connections": Case(
        get("Host: a", "Connection: keep-alive", "Connection: close"),
        (200,),
        "closes",
        "RFC 9110, 5.3: two lines are one list.",
    ),
    "close, and a request after it": Case(
        get("Host: a", "Connection: close") + post("Host: a", LENGTH),
        (200,),
        "closes",
        "9.6: what follows must be read, or the answer is lost, but not processed (uvicorn #2238).",
    ),
    "an answer announces that it is the last": Case(
        get("Host: a", "Connection: close") + GOOD,
        (200,),
        "closes",
        "By Connection: close, so that a proxy knows.",
    ),
    "1.0 closes": Case(b"GET /livez HTTP/1.0\r\n\r\n", (200,), "closes", "9.3."),
    "1.0 with keep-alive": Case(
        b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        (200,),
        "stays open",
        "9.3: the answer must say keep-alive, or the client does not believe it (ab -k).",
    ),
    "1.0 with Keep-Alive": Case(
        b"GET /livez HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        (200,),
        "stays open",
        "As above; this is the usual spelling.",
    ),
    "1.0 with keep-alive and a body": Case(
        message(
            "POST /ticket_options HTTP/1.0",
            "Content-Type: application/json",
            "Connection: keep-alive",
            LENGTH,
            body=OPTION,
        ),
        (201,),
        "stays open",
        "As above.",
    ),
    "1.0 with a chunked body": Case(
        message("POST /ticket_options HTTP/1.0", "Host: a", CHUNKED, body=IN_CHUNKS),
        (400,),
        "closes",
        "RFC 9112, 6.1: its framing is faulty, and the connection ends. 1.0 has no chunks.",
    ),
    "1.2": Case(
        b"GET /livez HTTP/1.2\r\nHost: a\r\n\r\n",
        (200,),
        "stays open",
        "RFC 9110, 2.5: a higher minor version is treated as the highest known one.",
    ),
    "HEAD has no body": Case(
        message("HEAD /livez HTTP/1.1", "Host: a") + GOOD,
        (200, 200),
        "stays open",
        "Its head has the length of GET's body, but no byte of it follows.",
    ),
    "HEAD of nothing": Case(
        message("HEAD /nothing HTTP/1.1", "Host: a"), (404,), "stays open", "Nor has an error."
    ),
}

PIPELINED = {
    "in order, quick after slow": Case(
        post("Host: a", LENGTH) + GOOD + post("Host: a", LENGTH) + GOOD,
        (201, 200, 201, 200),
        "stays open",
        "RFC 9112, 9.3.2. Sanic #337 dropped answers.",
    ),
    "after 404": Case(
        get("Host: a", target="/x") + GOOD, (404, 200), "stays open", "The request was read."
    ),
    "after 405 with a body": Case(
        message("PUT /livez HTTP/1.1", "Host: a", LENGTH, body=OPTION) + GOOD,
        (405, 200),
        "stays open",
        "An unwanted body must be read, or it would be taken for the next request.",
    ),
    "after 404 with a chunked body": Case(
        message("POST /x HTTP/1.1", "Host: a", CHUNKED, body=IN_CHUNKS) + GOOD,
        (404, 200),
        "stays open",
        "As above.",
    ),
    "after GET with a body": Case(
        message("GET /livez HTTP/1.1", "Host: a", LENGTH, body=OPTION) + GOOD,
        (200, 200),
        "stays open",
        "As above; RFC 9110, 9.3.1.",
    ),
    "a body that looks like a request": Case(
        message("DELETE /livez HTTP/1.1", "Host: a", f"Content-Length: {len(GOOD)}", body=GOOD)
        + GOOD,
        (405, 200),
        "stays open",
        "It is not one.",
    ),
    "after 415": Case(
        message("POST /ticket_options HTTP/1.1", "Host: a", LENGTH, body=OPTION) + GOOD,
        (415, 200),
        "stays open",
        "As above.",
    ),
    "after bad JSON": Case(
        post("Host: a", "Content-Length: 1", body=b"{") + GOOD,
        (400, 200),
        "stays open",
        "As above.",
    ),
    "after 413": Case(
        post("Host: a", "Content-Length: 70000", body=b" " * 70_000) + GOOD,
        (413, 200),
        "stays open",
        "Up to 1 MiB is read.",
    ),
    "after a bad request": Case(
        b"nonsense\r\n\r\n" + GOOD,
        (400,),
        "closes",
        "There is no telling where the next one begins.",
    ),
    "an invalid one after valid ones": Case(
        GOOD + post("Host: a", LENGTH) + b"nonsense\r\n\r\n" + GOOD,
        (200, 201, 400),
        "closes",
        "The valid ones are answered first, and in order.",
    ),
    "a bad chunk after a valid request": Case(
        GOOD + chunked(b"zz\r\n") + GOOD, (200, 400), "closes", "As above."
    ),
    "an empty line between": Case(
        GOOD + b"\r\n" + GOOD, (200, 200), "stays open", "RFC 9112, 2.2: old clients send one."
    ),
    "an empty line after a body": Case(
        post("Host: a", LENGTH) + b"\r\n" + GOOD, (201, 200), "stays open", "As above."
    ),
    "more than Content-Length says": Case(
        post("Host: a", LENGTH) + b"x\r\n\r\n",
        (201, 400),
        "closes",
        "The rest is taken for a request.",
    ),
    "a hundred": Case(GOOD * 100, (200,) * 100, "stays open", "Without recursing for each."),
}

EXPECT = {
    "100-continue, and the body at once": Case(
        post("Host: a", LENGTH, "Expect: 100-continue"),
        (100, 201),
        "stays open",
        "RFC 9110, 10.1.1: the 100 may be omitted if the body has arrived; here it is sent.",
    ),
    "100-Continue": Case(
        post("Host: a", LENGTH, "Expect: 100-Continue"),
        (100, 201),
        "stays open",
        "Case-insensitive: .NET and old curl spell it so, and hang if the server compares bytes.",
    ),
    "from 1.0": Case(
        message(
            "POST /ticket_options HTTP/1.0",
            "Content-Type: application/json",
            LENGTH,
            "Expect: 100-continue",
            body=OPTION,
        ),
        (201,),
        "closes",
        "A server must ignore it there: 1.0 has no interim answers.",
    ),
    "without a body": Case(
        get("Host: a", "Expect: 100-continue"),
        (200,),
        "stays open",
        "There is nothing to wait for, so no 100.",
    ),
    "refused before the body is sent": Case(
        post("Host: a", "Content-Length: 2000000", "Expect: 100-continue", body=b""),
        (413,),
        "closes",
        "The whole point: the final answer comes instead of 100, and the body is never sent.",
    ),
    "two in a row": Case(
        post("Host: a", LENGTH, "Expect: 100-continue") * 2,
        (100, 201, 100, 201),
        "stays open",
        "An interim answer belongs to its own request, and never overtakes the one before.",
    ),
    "something else": Case(
        get("Host: a", "Expect: x"),
        (200,),
        "stays open",
        "RFC 9110, 10.1.1: 417 may be answered; it is ignored here.",
    ),
}

UPGRADE = {
    "h2c": Case(
        get("Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"),
        (200,),
        "stays open",
        "RFC 9110, 7.8: may be ignored. Java's client always offers it. uvicorn #1501: 400.",
    ),
    "h2c with a body": Case(
        post("Host: a", "Connection: Upgrade", "Upgrade: h2c", LENGTH),
        (201,),
        "stays open",
        "llhttp then stops after the head, and the body is lost: uvicorn #2722.",
    ),
    "h2c with a chunked body": Case(
        post("Host: a", "Connection: Upgrade", "Upgrade: h2c", CHUNKED, body=IN_CHUNKS),
        (201,),
        "stays open",
        "As above.",
    ),
    "h2c, and a request after it": Case(
        get("Host: a", "Connection: Upgrade", "Upgrade: h2c") + GOOD,
        (200, 200),
        "stays open",
        "As above: the parser must go on.",
    ),
    "h2c with a body, and a request after it": Case(
        post("Host: a", "Connection: Upgrade", "Upgrade: h2c", LENGTH) + GOOD,
        (201, 200),
        "stays open",
        "As above.",
    ),
    "websocket": Case(
        get(
            "Host: a",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ),
        (200,),
        "stays open",
        "There is no WebSocket here.",
    ),
    "Upgrade without Connection": Case(
        get("Host: a", "Upgrade: h2c") + GOOD, (200, 200), "stays open", "Then it is not an offer."
    ),
    "Connection: upgrade without Upgrade": Case(
        get("Host: a", "Connection: upgrade") + GOOD, (200, 200), "stays open", "Nor this."
    ),
    "HTTP/2 with prior knowledge": refused(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        "curl --http2-prior-knowledge, gRPC. One answer, whatever follows.",
    ),
    "CONNECT": Case(
        message("CONNECT a:443 HTTP/1.1", "Host: a:443") + GOOD,
        (404, 200),
        "stays open",
        "No tunnel; after an error the connection stays HTTP. llhttp takes all that follows for "
        "the tunnel's, and Hypercorn #277 let it pass. 400 or 405 would do as well.",
    ),
    "CONNECT with a body": Case(
        message("CONNECT a:443 HTTP/1.1", "Host: a:443", LENGTH, body=OPTION) + GOOD,
        (404, 200),
        "stays open",
        "RFC 9110, 9.3.6: its content has no meaning, but is framed like any other.",
    ),
}

LINES = {
    "LF": Case(
        b"GET /livez HTTP/1.1\nHost: a\n\n",
        (200,),
        "stays open",
        "RFC 9112, 2.2: may be accepted as the end of a line. llhttp: of the request line only.",
    ),
    "CR within a value": refused(get("Host: a", "X: a\rb"), "2.2: a bare CR is invalid."),
    "CR in place of CRLF": refused(
        b"GET /livez HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "2.2: otherwise a header is smuggled."
    ),
    "CR CR LF": Case(
        b"GET /livez HTTP/1.1\r\r\nHost: a\r\n\r\n",
        (400,),
        "closes",
        "As above.",
    ),
    "LF CR LF within a header": refused(
        get("Host: a", "X: a\n\rY: b"), "A line that begins with CR is not a header."
    ),
    "NUL in a value": refused(get("Host: a", "X: a\x00b"), "RFC 9110, 5.5."),
    "NUL in a name": refused(get("Host: a", "X\x00Y: a"), "A name is a token."),
    "a folded line": refused(get("Host: a", "X: a", " b"), "RFC 9112, 5.2."),
    "a folded line with a tab": refused(get("Host: a", "X: a", "\tb"), "As above."),
    "a folded Transfer-Encoding": refused(
        post("Host: a", "Transfer-Encoding:", " chunked", body=IN_CHUNKS),
        "As above; CVE-2022-35256 of Node.js.",
    ),
    "a folded Content-Length": refused(
        post("Host: a", "Content-Length:", f" {len(OPTION)}"), "As above; CVE-2024-27982."
    ),
    "a folded first header": refused(
        b"GET /livez HTTP/1.1\r\n Host: a\r\n\r\n",
        "2.2: white space between the request line and the first header.",
    ),
    "a space before the colon": refused(get("Host: a", "X : b"), "5.1: must be 400."),
    "a tab before the colon": refused(get("Host: a", "X\t: b"), "As above."),
    "a space before Content-Length's colon": refused(
        post("Host: a", f"Content-Length : {len(OPTION)}"), "As above."
    ),
    "a space before Transfer-Encoding's colon": refused(
        post("Host: a", "Transfer-Encoding : chunked", body=IN_CHUNKS), "As above."
    ),
    "an empty value": Case(get("Host: a", "X:"), (200,), "stays open", "RFC 9110, 5.5."),
    "white space around a value": Case(
        get("Host: \t a \t"), (200,), "stays open", "RFC 9112, 5.1: not part of the value."
    ),
    "white space around a length": Case(
        post("Host: a", f"Content-Length: \t{len(OPTION)} \t"), (201,), "stays open", "As above."
    ),
    "two spaces in the request line": refused(
        b"GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n", "3: one space; guessing invites attacks."
    ),
    "HTTP/0.9": refused(b"GET /livez\r\n\r\n", "Nobody speaks it any more."),
    "a version in lower case": refused(b"GET /livez http/1.1\r\nHost: a\r\n\r\n", "2.3."),
    "a version with two digits": refused(b"GET /livez HTTP/1.01\r\nHost: a\r\n\r\n", "2.3."),
    "HTTP/2.0 in text": refused(b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n", "505 would do as well."),
    "a space but no version": refused(b"GET /livez \r\nHost: a\r\n\r\n", "3."),
    "a different protocol": refused(
        b"GET /livez RTSP/1.0\r\nHost: a\r\n\r\n", "llhttp knows RTSP."
    ),
    "a different protocol's method": Case(
        message("DESCRIBE /livez HTTP/1.1", "Host: a"), (405,), "stays open", "It is a valid token."
    ),
    "an unknown method": Case(
        message("MUX /livez HTTP/1.1", "Host: a") + GOOD,
        (405, 200),
        "stays open",
        "RFC 9110, 9.1: any token; llhttp has a fixed list (uvicorn #1296). 501 would do as well.",
    ),
    "a method in lower case": Case(
        message("get /livez HTTP/1.1", "Host: a"),
        (405,),
        "stays open",
        "Methods are case-sensitive.",
    ),
    "TLS": refused(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "https:// on this port."
    ),
    "the PROXY protocol": refused(
        b"PROXY TCP4 10.0.0.1 10.0.0.2 5000 80\r\n" + GOOD, "A misconfigured load balancer."
    ),
}

HOST = {
    "none": refused(get("X: a"), "RFC 9112, 3.2: must be 400."),
    "two": refused(get("Host: a", "Host: b"), "As above."),
    "two of one kind": refused(get("Host: a", "host: a"), "As above, even if they agree."),
    "a list": refused(get("Host: a, b"), "It must be a single name."),
    "with a space": refused(get("Host: a b"), "As above."),
    "with a path": refused(get("Host: a/b"), "As above."),
    "with a user": refused(get("Host: b@a"), "RFC 9110, 4.2.4."),
    "empty": Case(
        get("Host:"), (200,), "stays open", "3.2: correct for a target without authority."
    ),
    "with a port": Case(get("Host: a:80"), (200,), "stays open", "uri-host [ : port ]."),
    "IPv6": Case(get("Host: [::1]:80"), (200,), "stays open", "As above."),
    "none from 1.0": Case(b"GET /livez HTTP/1.0\r\n\r\n", (200,), "closes", "1.0 had none."),
    "two from 1.0": refused(
        b"GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "3.2: any request."
    ),
}

TARGET = {
    "absolute": Case(
        get("Host: a", target="http://a/livez"), (200,), "stays open", "RFC 9112, 3.2.2: must do."
    ),
    "absolute, a different host": Case(
        get("Host: a", target="http://b/livez"), (200,), "stays open", "The target wins over Host."
    ),
    "absolute with a query": Case(
        get("Host: a", target="http://a/livez?x=http://y/"), (200,), "stays open", "As above."
    ),
    "absolute, scheme in capitals": Case(
        get("Host: a", target="HTTP://a/livez"),
        (200,),
        "stays open",
        "Schemes are case-insensitive.",
    ),
    "absolute without a path": Case(
        get("Host: a", target="http://a?x"),
        (404,),
        "stays open",
        "The path is then /.",
    ),
    "* for OPTIONS": Case(
        message("OPTIONS * HTTP/1.1", "Host: a"), (404,), "stays open", "3.2.4; not supported here."
    ),
    "* for GET": Case(get("Host: a", target="*"), (404,), "stays open", "No path; 400 would do."),
    "//": Case(get("Host: a", target="//livez"), (404,), "stays open", "A path, and not a host."),
    "no slash": Case(get("Host: a", target="livez"), (404,), "stays open", "400 would do as well."),
    "bytes over 127": Case(
        get("Host: a", target=b"/\xf0\x9f\x91\xbd"),
        (404,),
        "stays open",
        "3.2: invalid, 400 would do; many send them. uvicorn #344: one traceback each.",
    ),
    "a query of 8 KB": Case(
        get("Host: a", target="/livez?" + "x" * 8000), (200,), "stays open", "3: at least 8000."
    ),
    "percents": Case(get("Host: a", target="/%6civez"), (404,), "stays open", "Not decoded here."),
    "a space": refused(get("Host: a", target="/li vez"), "3.2: 400, not repaired."),
    "a tab": refused(get("Host: a", target="/li\tvez"), "As above."),
    "DEL": refused(get("Host: a", target="/li\x7fvez"), "As above."),
}

LENGTHS = {
    "none": Case(post("Host: a", body=b"") + GOOD, (400, 200), "stays open", "6.3: no body."),
    "0": Case(
        post("Host: a", "Content-Length: 0", body=b"") + GOOD, (400, 200), "stays open", "As above."
    ),
    "two that agree": Case(
        post("Host: a", LENGTH, LENGTH), (201,), "stays open", "6.3: may be taken as one."
    ),
    "two in one that agree": Case(
        post("Host: a", f"{LENGTH}, {len(OPTION)}"), (201,), "stays open", "As above."
    ),
    "two that differ": refused(post("Host: a", LENGTH, "Content-Length: 5"), "6.3: must be 400."),
    "0 and a different one": refused(
        post("Host: a", "Content-Length: 0", LENGTH), "As above, whichever comes first."
    ),
    "a plus": refused(post("Host: a", "Content-Length: +42"), "1*DIGIT."),
    "a minus": refused(post("Host: a", "Content-Length: -1"), "As above."),
    "a minus zero": refused(post("Host: a", "Content-Length: -0", body=b""), "As above."),
    "hexadecimal": refused(post("Host: a", "Content-Length: 0x2a"), "As above."),
    "an underscore": refused(post("Host: a", "Content-Length: 4_2"), "Python's int() takes it."),
    "a space within": refused(post("Host: a", "Content-Length: 4 2"), "As above."),
    "a comma": refused(post("Host: a", "Content-Length: 42,"), "As above."),
    "empty": refused(post("Host: a", "Content-Length:"), "As above."),
    "other digits": refused(post("Host: a", "Content-Length: \u0664\u0662".encode()), "As above."),
    "no-break space": refused(post("Host: a", b"Content-Length: 42\xa0"), "strip() takes it."),
    "a vertical tab": refused(post("Host: a", "Content-Length: \x0b42"), "As above."),
    "overflowing 64 bits": Case(
        post("Host: a", f"Content-Length: {2**64 + 42}"),
        (413,),
        "closes",
        "Not 42: a parser that wraps around lets requests be smuggled.",
    ),
    "overflowing 32 bits": Case(
        post("Host: a", f"Content-Length: {2**32 + 42}"), (413,), "closes", "As above."
    ),
    "4300 digits": Case(
        post("Host: a", "Content-Length: " + "9" * 4301), (413,), "closes", "int() refuses them."
    ),
}

CODINGS = {
    "chunked": Case(chunked(IN_CHUNKS), (201,), "stays open", "RFC 9112, 7.1."),
    "CHUNKED": Case(
        post("Host: a", "Transfer-Encoding: CHUNKED", body=IN_CHUNKS),
        (201,),
        "stays open",
        "No case.",
    ),
    "chunked with Content-Length": refused(
        post("Host: a", CHUNKED, LENGTH, body=IN_CHUNKS),
        "6.3: an error; Hypercorn #279, LiteSpeed #392.",
    ),
    "Content-Length with chunked": refused(
        post("Host: a", "Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + GOOD), "As above."
    ),
    "chunked with Content-Length: 0": refused(
        post("Host: a", CHUNKED, "Content-Length: 0", body=IN_CHUNKS), "As above."
    ),
    "chunked twice": refused(
        post("Host: a", "Transfer-Encoding: chunked, chunked", body=IN_CHUNKS), "7: never twice."
    ),
    "in two lines": refused(post("Host: a", CHUNKED, CHUNKED, body=IN_CHUNKS), "As above."),
    "chunked not last": refused(
        post("Host: a", "Transfer-Encoding: chunked, identity", body=IN_CHUNKS),
        "6.3: no end can be found, 400 and close.",
    ),
    "identity": refused(
        post("Host: a", "Transfer-Encoding: identity"), "It was removed from HTTP."
    ),
    "gzip, chunked": refused(
        post("Host: a", "Transfer-Encoding: gzip, chunked", body=IN_CHUNKS), "501 would do as well."
    ),
    "xchunked": refused(
        post("Host: a", "Transfer-Encoding: xchunked", body=IN_CHUNKS), "The whole word must match."
    ),
    "chunked with a parameter": refused(
        post("Host: a", "Transfer-Encoding: chunked;q=1", body=IN_CHUNKS), "It takes no parameters."
    ),
    "quoted": refused(post("Host: a", 'Transfer-Encoding: "chunked"', body=IN_CHUNKS), "A token."),
    "empty": refused(post("Host: a", "Transfer-Encoding:", body=IN_CHUNKS), "1*."),
    "a vertical tab before it": refused(
        post("Host: a", "Transfer-Encoding: \x0bchunked", body=IN_CHUNKS), "CVE-2019-16785."
    ),
    "an underscore for a dash": Case(
        post("Host: a", "Transfer_Encoding: chunked", LENGTH),
        (201,),
        "stays open",
        "A different header altogether.",
    ),
    "on GET": Case(
        message("GET /livez HTTP/1.1", "Host: a", CHUNKED, body=IN_CHUNKS) + GOOD,
        (200, 200),
        "stays open",
        "6.3: framed like any other.",
    ),
}

CHUNKS = {
    "a size in capitals": Case(
        chunked(b"2A\r\n" + OPTION + b"\r\n0\r\n\r\n"), (201,), "stays open", "HEXDIG."
    ),
    "a size with leading zeros": Case(
        chunked(b"0002a\r\n" + OPTION + b"\r\n000\r\n\r\n"), (201,), "stays open", "1*HEXDIG."
    ),
    "an extension": refused(
        chunked(b"2a;a=b\r\n" + OPTION + b"\r\n0\r\n\r\n"),
        "7.1.1: unknown ones must be ignored, but nobody sends any. Refused on purpose.",
    ),
    "a quoted extension": refused(
        chunked(b'2a;a="b\r\n"\r\n' + OPTION + b"\r\n0\r\n\r\n"), "As above."
    ),
    "LF in an extension": refused(
        chunked(b"2a;\n" + OPTION + b"\r\n0\r\n\r\n"), "CVE-2025-55315, gunicorn #3327."
    ),
    "LF after a size": Case(
        chunked(b"2a\n" + OPTION + b"\r\n0\r\n\r\n"),
        (400,),
        "closes",
        "7.1: CRLF only; Go's CVE-2025-22871.",
    ),
    "any two bytes after a chunk": refused(
        chunked(b"2a\r\n" + OPTION + b"xx0\r\n\r\n"), "h11's CVE-2025-43859."
    ),
    "nothing after a chunk": refused(chunked(b"2a\r\n" + OPTION + b"0\r\n\r\n\r\n"), "As above."),
    "LF after a chunk": refused(chunked(b"2a\r\n" + OPTION + b"\n0\r\n\r\n"), "As above."),
    "an empty size": refused(chunked(b"\r\n\r\n"), "1*HEXDIG."),
    "a space before a size": refused(
        chunked(b" 2a\r\n" + OPTION + b"\r\n0\r\n\r\n"), "int(x, 16) takes it."
    ),
    "a space after a size": refused(chunked(b"2a \r\n" + OPTION + b"\r\n0\r\n\r\n"), "As above."),
    "0x": refused(chunked(b"0x2a\r\n" + OPTION + b"\r\n0\r\n\r\n"), "As above."),
    "an underscore": refused(chunked(b"2_a\r\n" + OPTION + b"\r\n0\r\n\r\n"), "As above."),
    "a plus": refused(chunked(b"+2a\r\n" + OPTION + b"\r\n0\r\n\r\n"), "As above."),
    "a minus": refused(chunked(b"-2a\r\n" + OPTION + b"\r\n0\r\n\r\n"), "As above."),
    "17 digits": refused(
        chunked(b"1000000000000002a\r\n" + OPTION + b"\r\n0\r\n\r\n"), "Wraps around at 64 bits."
    ),
    "9 digits": Case(
        chunked(b"10000002a\r\n" + OPTION + b"\r\n0\r\n\r\n"),
        (),
        "closes",
        "Wraps around at 32 bits: not a chunk of 42 bytes. 413 or 400 would do as well.",
        client_ends=True,
    ),
    "a trailer": refused(
        chunked(b"2a\r\n" + OPTION + b"\r\n0\r\nX: y\r\n\r\n"),
        "7.1.2: may be dropped; refused on purpose, because none was announced.",
    ),
    "a trailer with framing": refused(
        chunked(b"2a\r\n" + OPTION + b"\r\n0\r\nContent-Length: 5\r\n\r\n"),
        "6.5.1: a trailer must never frame.",
    ),
    "the end with LF": Case(
        chunked(b"2a\r\n" + OPTION + b"\r\n0\r\n\n"),
        (400,),
        "closes",
        "As after any chunk.",
    ),
    "a request after the last chunk": Case(
        chunked(IN_CHUNKS) + GOOD, (201, 200), "stays open", "It begins right after."
    ),
    "only the last chunk": Case(
        chunked(b"0\r\n\r\n") + GOOD, (400, 200), "stays open", "An empty body is not JSON."
    ),
}

ALL = {
    f"{group}: {name}": case
    for group, cases in {
        "half-closed": HALF_CLOSED,
        "keep-alive": KEEP_ALIVE,
        "pipelined": PIPELINED,
        "expect": EXPECT,
        "upgrade": UPGRADE,
        "lines": LINES,
        "host": HOST,
        "target": TARGET,
        "lengths": LENGTHS,
        "codings": CODINGS,
        "chunks": CHUNKS,
    }.items()
    for name, case in cases.items()
}

LLHTTP = "llhttp refuses it, as the RFC allows"

ON_THE_LANE: dict[str, tuple[tuple[int, ...], Literal["stays open", "closes"], str]] = {
    "keep-alive: 1.2": (
        (400,),
        "closes",
        "llhttp knows only the minor versions 0 and 1",
    ),
    "upgrade: CONNECT": ((404,), "closes", "what follows may be meant for the named host"),
    "upgrade: CONNECT with a body": ((404,), "closes", "as above"),
    "lines: LF": ((400,), "closes", LLHTTP),
    "lines: two spaces in the request line": ((200,), "stays open", "RFC 9112, 3: may be lenient"),
    "lines: a different protocol": (
        (200,),
        "closes",
        "llhttp does not tell RTSP/1.0 from HTTP/1.0",
    ),
    "lines: a different protocol's method": (
        (400,),
        "closes",
        "llhttp only knows a fixed list of methods",
    ),
    "lines: an unknown method": ((400,), "closes", "llhttp only knows a fixed list of methods"),
    "lines: a method in lower case": (
        (400,),
        "closes",
        "llhttp only knows a fixed list of methods",
    ),
    "target: no slash": ((400,), "closes", LLHTTP),
    "target: bytes over 127": ((400,), "closes", LLHTTP),
    "lengths: two that agree": ((400,), "closes", LLHTTP),
    "lengths: two in one that agree": ((400,), "closes", LLHTTP),
    "lengths: overflowing 64 bits": ((400,), "closes", "llhttp cannot hold such a length"),
    "lengths: 4300 digits": ((400,), "closes", "llhttp cannot hold such a length"),
    "chunks: an extension": ((201,), "stays open", "RFC 9112, 7.1.1: ignored; its size is bounded"),
    "chunks: a trailer": ((201,), "stays open", "RFC 9112, 7.1.2: dropped; its size is bounded"),
}
"""Where the fast lane answers differently, and why that is allowed."""
