"""Stands between a gateway and PostgreSQL, and loses connections at the worst moments.

It reads the frontend's messages far enough to know where a request ends and which prepared
statement it runs, so a rule can pick its moment:

    lost    the request never arrives
    late    the client is gone at once; the server gets the request some time afterwards
    after   the server gets the request; whether it commits first or notices the loss first
            is left to chance
    reply   the server has committed and answered; nothing of the answer arrives
    half    the answer arrives, but not the word that the server is done
    whole   the answer arrives, and the connection is lost behind it; meanwhile() says what
            else happens in between
"""
import collections
import contextlib
import os
import pathlib
import select
import socket
import struct
import threading
import time
import urllib.parse

MODES = ("lost", "late", "after", "reply", "half")


class Gone(Exception):
    """This connection has reached its end."""


class Requests:
    """Cuts what a client sends into requests: up to a Sync, a simple query, or the end."""

    def __init__(self):
        self.data, self.started = b"", False

    def feed(self, data):
        self.data += data
        while (size := self._size()) is not None:
            yield self._take(size)

    def _take(self, size):
        request, self.data = self.data[:size], self.data[size:]
        return request

    def _size(self):
        if not self.started:
            if len(self.data) < 4 or len(self.data) < (size := struct.unpack("!I", self.data[:4])[0]):
                return None
            self.started = True
            return size
        at = 0
        while len(self.data) >= at + 5:
            kind, size = self.data[at:at + 1], struct.unpack("!I", self.data[at + 1:at + 5])[0] + 1
            if len(self.data) < at + size:
                return None
            at += size
            if kind in b"SQX":
                return at
        return None


def statement_of(request):
    """The prepared statement a request runs, or None."""
    if request[:1] != b"B":
        return None
    return request[5:].split(b"\0", 2)[1].decode()


def before_ready(answer):
    """How many bytes of an answer come before its ReadyForQuery; None: that is not here yet."""
    at = 0
    while len(answer) >= at + 5:
        if answer[at:at + 1] == b"Z":
            return at
        at += struct.unpack("!I", answer[at + 1:at + 5])[0] + 1
    return None


class Proxy:
    """`rule(statement)` says how to lose the connection with this request, or None."""

    def __init__(self, url, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(mode=0o755, exist_ok=True)
        head, _, query = url.partition("?")
        host = urllib.parse.unquote(dict(part.split("=", 1) for part in query.split("&"))["host"])
        self.upstream = f"{host}/.s.PGSQL.5432"
        self.url = f"{head}?host={urllib.parse.quote(str(folder))}"
        self.rule = lambda statement: None
        self.cuts = collections.Counter()
        self.late_s, self.late_done = 0.05, 0
        self.meanwhile = lambda send: send()
        self.closing = False
        path = str(folder / ".s.PGSQL.5432")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing = True
        self.listener.close()

    def calm(self):
        self.rule = lambda statement: None

    def once(self, statement, mode):
        """Loses the next connection that runs `statement`; returns an event that tells when."""
        fired, lock = threading.Event(), threading.Lock()

        def rule(name):
            with lock:
                if name != statement or fired.is_set():
                    return None
                fired.set()
                return mode

        self.rule = rule
        return fired

    def _accept(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server:
            with contextlib.suppress(Gone, OSError, TimeoutError):
                server.settimeout(10)
                server.connect(self.upstream)
                requests = Requests()
                while not self.closing:
                    self._pass_on(client, server, requests)

    def _pass_on(self, client, server, requests):
        ready, _, _ = select.select([client, server], [], [], 1)
        if server in ready:
            if not (data := server.recv(65536)):
                raise Gone
            client.sendall(data)
        if client in ready:
            if not (data := client.recv(65536)):
                raise Gone
            for request in requests.feed(data):
                statement = statement_of(request)
                mode = self.rule(statement) if statement else None
                if mode is None:
                    server.sendall(request)
                else:
                    self.cuts[mode] += 1
                    self._lose(client, server, request, mode)

    def _lose(self, client, server, request, mode):
        if mode == "lost":
            raise Gone
        if mode == "late":
            client.close()
            time.sleep(self.late_s)
        try:
            server.sendall(request)
            if mode != "after":
                self._last_answer(client, server, mode)
        finally:
            self.late_done += mode == "late"
        raise Gone

    def _last_answer(self, client, server, mode):
        answer = b""
        while (end := before_ready(answer)) is None:
            if not (data := server.recv(65536)):
                raise Gone
            answer += data
        if mode == "half":
            client.sendall(answer[:end])
        if mode == "whole":
            self.meanwhile(lambda: client.sendall(answer))
