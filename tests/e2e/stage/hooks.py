"""A receiver of LiveKit's webhooks that only writes down what came."""
import http.server
import json
import threading
import time

from harness.wait import until


class Hooks:
    def __init__(self, port):
        self.seen, self.answer = [], 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append({"at": time.time(), "headers": dict(self.headers), "raw": body,
                                   "event": json.loads(body)})
                self.send_response(outer.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, room):
        return [one["event"] for one in list(self.seen) if one["event"].get("room", {}).get("name") == room]

    def wait(self, room, event, seconds=15):
        return until(f"webhook {event} of {room}",
                     lambda: next((e for e in self.of(room) if e["event"] == event), None), seconds)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
