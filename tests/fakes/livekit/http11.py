"""HTTP/1.1 on asyncio, just enough to be a server that curl and http.client believe. An answer
may be one that no decent server gives: cut in the middle, or no answer at all."""
import asyncio
import http
import json
import urllib.parse

HEAD_MAX = 64 * 1024
BODY_MAX = 10 * 1024 * 1024       # limit.max_api_request_body_size


class Bad(Exception):
    """What came is not HTTP, or more than we take: (status, words)."""


class Request:
    def __init__(self, method, target, headers, body, peer):
        self.method, self.headers, self.body, self.peer = method, headers, body, peer
        self.path, _, query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))


class Answer:
    """`cut`: send so many bytes of the body, then shut the connection. `reset`: shut it with
    nothing sent at all."""

    def __init__(self, status=200, body=b"", content_type="application/json", headers=(), cut=None, reset=False):
        self.status, self.cut, self.reset = status, cut, reset
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = [("Content-Type", content_type), *headers]

    @classmethod
    def json(cls, value, status=200):
        return cls(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    @classmethod
    def text(cls, status, words):
        return cls(status, words, "text/plain; charset=utf-8")

    def bytes(self):
        try:
            phrase = http.HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Status"
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.headers),
                 f"Content-Length: {len(self.body)}"]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        return head + (self.body if self.cut is None else self.body[:self.cut])


def parse_head(text):
    lines = text.split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise Bad(400, f"not a request line: {lines[0]!r}")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise Bad(400, f"not a header: {line!r}")
        headers[name.strip().lower()] = value.strip()
    return words[0], words[1], headers


def chunked(buffer):
    """(body, bytes used), or None while it is not whole."""
    body, at = b"", 0
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(buffer[at:end].split(b";")[0], 16)
        if len(buffer) < end + 2 + size + 2:
            return None
        body += buffer[end + 2:end + 2 + size]
        at = end + 2 + size + 2
        if size == 0:
            return bytes(body), at


class Connection(asyncio.Protocol):
    def __init__(self, server):
        self.server, self.buffer, self.task, self.continued = server, bytearray(), None, False

    def connection_made(self, transport):
        self.transport = transport
        self.peer = transport.get_extra_info("peername")
        self.server.opened(self)

    def connection_lost(self, error):
        """Whoever waits for an answer is told that nobody wants it any more."""
        if self.task:
            self.task.cancel()
        self.server.closed(self)

    def data_received(self, data):
        self.buffer += data
        self.next()

    def next(self):
        """One request at a time; more of them wait in the buffer."""
        if self.task is not None:
            return
        try:
            request = self.take()
        except (Bad, ValueError, UnicodeDecodeError) as error:
            status, words = error.args if isinstance(error, Bad) else (400, str(error))
            self.server.complain(f"HTTP: {words}")
            self.give(Answer.text(status, words), keep=False)
            return
        if request:
            self.task = asyncio.get_running_loop().create_task(self.run(request))

    def take(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > HEAD_MAX:
                raise Bad(431, "the head is too long")
            return None
        method, target, headers = parse_head(self.buffer[:end].decode("latin-1"))
        rest = memoryview(self.buffer)[end + 4:]
        if "chunked" in headers.get("transfer-encoding", "").lower():
            found = chunked(bytes(rest))
        else:
            length = int(headers.get("content-length", "0"))
            if length > BODY_MAX:
                raise Bad(413, "http: request body too large")
            found = (bytes(rest[:length]), length) if len(rest) >= length else None
        rest.release()
        if found is None:
            if headers.get("expect", "").lower() == "100-continue" and not self.continued:
                self.continued = True
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        body, used = found
        del self.buffer[:end + 4 + used]
        self.continued = False
        return Request(method, target, headers, body, self.peer)

    async def run(self, request):
        try:
            answer = await self.server.handler(request)
        except asyncio.CancelledError:
            return
        except Exception as error:      # a fault of ours must not look like a fault of theirs
            self.server.complain(f"the fake itself failed on {request.method} {request.path}: {error!r}")
            answer = Answer.text(500, repr(error))
        self.task = None
        self.give(answer, keep=request.headers.get("connection", "").lower() != "close")
        self.next()

    def give(self, answer, keep=True):
        if self.transport.is_closing():
            return
        if answer.reset:
            self.transport.abort()
            return
        self.transport.write(answer.bytes())
        if not keep or answer.cut is not None:
            self.transport.close()


class Server:
    """`handler`: a coroutine, Request → Answer. Counts connections, and can be shut and opened
    again on its port as if the program had gone."""

    def __init__(self, handler, complain):
        self.handler, self.complain = handler, complain
        self.connections, self.total, self.peak = set(), 0, 0
        self.listener, self.port = None, None

    def opened(self, connection):
        self.connections.add(connection)
        self.total += 1
        self.peak = max(self.peak, len(self.connections))

    def closed(self, connection):
        self.connections.discard(connection)

    async def up(self, port):
        if self.listener is None:
            loop = asyncio.get_running_loop()
            self.listener = await loop.create_server(lambda: Connection(self), "127.0.0.1", port, backlog=4096)
            self.port = self.listener.sockets[0].getsockname()[1]

    def down(self):
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        self.cut()

    def cut(self):
        for connection in list(self.connections):
            connection.transport.abort()
