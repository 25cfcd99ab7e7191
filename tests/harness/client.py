"""A small HTTP client on http.client, and a raw one for requests no decent client sends."""
import http.client
import json
import socket
import threading
import urllib.parse


class Answer:
    """Status, headers (names in lower case) and body of one answer."""

    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    @property
    def json(self):
        assert self.headers.get("content-type", "").startswith("application/json"), self
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:400]!r}>"


class Client:
    """Talks to one gateway with one key; a connection for each thread, kept alive."""

    def __init__(self, url, key=None, timeout=15):
        self.url, self.key, self.timeout = url, key, timeout
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self._local = threading.local()

    def as_(self, key):
        return Client(self.url, key, self.timeout)

    def _connection(self):
        if getattr(self._local, "connection", None) is None:
            self._local.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        return self._local.connection

    def close(self):
        if getattr(self._local, "connection", None) is not None:
            self._local.connection.close()
            self._local.connection = None

    def request(self, method, path, body=None, headers=None):
        """`body`: bytes and str go as they are, anything else as JSON. Never repeats by itself:
        whoever asks has to know when an answer was lost."""
        headers = dict(headers or {})
        names = {name.lower() for name in headers}
        if self.key is not None and "authorization" not in names:
            headers["Authorization"] = f"Bearer {self.key}"
        if body is not None:
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if "content-type" not in names:
                headers["Content-Type"] = "application/json"
        if isinstance(body, str):
            body = body.encode()
        connection = self._connection()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, body=None, headers=None):
        return self.request("POST", path, body, headers)

    def delete(self, path, headers=None):
        return self.request("DELETE", path, headers=headers)

    def raw(self):
        """A bare socket to the gateway, for what http.client refuses to send."""
        return Raw(self.host, self.port, self.timeout)


class Raw:
    def __init__(self, host, port, timeout=15):
        self.socket = socket.create_connection((host, port), timeout=timeout)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def answer(self, method="GET"):
        """Reads one answer; raises http.client.BadStatusLine when the peer shut instead."""
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        return Answer(response.status, response.getheaders(), response.read())

    def closed(self):
        """True when the peer shuts within the time-out (what it still sends is dropped)."""
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
