"""The real programs: redis, livekit-server and livekit-sip, with ports of their own on loopback.
tests/e2e/run says in the environment where the programs are and which address of this machine
media may use (LiveKit's ICE refuses loopback); see versions.env."""
import http.client
import os
import pathlib
import shutil
import signal
import subprocess

from harness.wait import until

from . import livekit, ports
from .ports import HEALTH, HTTP, REDIS

SERVER_NODE = """\
port: {HTTP}
bind_addresses: ["127.0.0.1"]
keys: {{{key}: {secret}}}
redis: {{address: "127.0.0.1:{REDIS}"}}
rtc:
  tcp_port: {RTC_TCP}
  udp_port: {RTC_UDP}
  use_external_ip: false
  node_ip: {node_ip}
  stun_servers: ["127.0.0.1:3478"]
room: {{auto_create: false, empty_timeout: 60, departure_timeout: 5}}
{webhook}
logging: {{level: debug}}
"""

WEBHOOK = """\
webhook:
  api_key: {key}
  urls: [{urls}]"""

SIP_NODE = """\
api_key: {key}
api_secret: {secret}
ws_url: ws://127.0.0.1:{HTTP}
redis: {{address: "127.0.0.1:{REDIS}"}}
sip_port: {SIP}
listen_ip: 127.0.0.1
nat_1_to_1_ip: 127.0.0.1
use_external_ip: false
rtp_port: {RTP}
rtp_draining_idle_timeout: -1s
rtp_draining_duration: -1s
media_timeout_initial: 30s
max_cpu_utilization: 1
health_port: {HEALTH}
logging: {{level: debug}}
"""


def healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Program:
    def __init__(self, name, command, folder, health, executable=None):
        self.name, self.command, self.health, self.executable = name, command, health, executable
        self.log = folder / f"{name}.log"
        self.process = None

    def start(self, seconds=40):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, executable=self.executable, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        until(f"{self.name} is ready", self._ready, seconds, every=0.1)
        return self

    def _ready(self):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"
        return self.health()

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self, number=signal.SIGKILL):
        if self.running:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def tail(self, lines=60):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def said(self, lines):
        """The last requests it answered and the last errors it met: the rest is chatter about media."""
        telling = [line[:400] for line in self.tail(4000).splitlines()
                   if any(word in line for word in (" API ", "ERROR", "FATAL", "panic", "call ended", "INVITE"))]
        return "\n".join(telling[-lines:])


class Stack:
    """All three. `hooks`: the addresses LiveKit shall tell its events to."""

    def __init__(self, folder, hooks=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Debian's redis-tools has the server under another name, and no service to start.
        self.redis = Program("redis", [
            "redis-server", "--port", str(REDIS), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(self.folder)], self.folder, self._redis_answers,
            executable=shutil.which("redis-server") or shutil.which("redis-check-rdb"))
        self.server = Program("livekit-server", [os.environ["CALLGATE_E2E_SERVER"], "--config", self.folder / "server.yaml"],
                              self.folder, lambda: healthy(HTTP))
        self.sip = Program("livekit-sip", [os.environ["CALLGATE_E2E_SIP"], "--config", self.folder / "sip.yaml"],
                           self.folder, lambda: healthy(HEALTH))
        self.api = livekit.LiveKit(HTTP)
        self.configure(hooks)

    def configure(self, hooks):
        webhook = WEBHOOK.format(key=livekit.KEY, urls=", ".join(f'"{url}"' for url in hooks)) if hooks else ""
        values = {**vars(ports), "key": livekit.KEY, "secret": livekit.SECRET, "webhook": webhook,
                  "node_ip": os.environ["CALLGATE_E2E_NODE_IP"]}
        (self.folder / "server.yaml").write_text(SERVER_NODE.format(**values))
        (self.folder / "sip.yaml").write_text(SIP_NODE.format(**values))

    @staticmethod
    def _redis_answers():
        return subprocess.run(["redis-cli", "-p", str(REDIS), "ping"], capture_output=True, timeout=5).stdout == b"PONG\n"

    def start(self):
        for program in (self.redis, self.server, self.sip):
            program.start()
        self.settle()
        return self

    def settle(self):
        """Until the SIP node takes requests: its health says yes a moment before redis knows it."""
        for program in (self.redis, self.server, self.sip):
            assert program.running, f"{program.name} ended; is its port taken?\n{program.tail()}"
        nowhere = {"hostname": "127.0.0.1:9", "transport": "SIP_TRANSPORT_UDP"}
        until("a SIP node takes requests", lambda: self.api.dial(nowhere, "no such room", ring=1).status == 500,
              30, every=0.2)

    def stop(self):
        """At once: asked politely, LiveKit waits for the calls that are left."""
        for program in (self.sip, self.server, self.redis):
            program.kill()
