"""The program under test: its commands, and gateways on ports of their own."""
import os
import pathlib
import signal
import subprocess

from .client import Client
from .ports import free_port
from .postgres import TOP
from .wait import until

BIN = pathlib.Path(os.environ.get("CALLGATE_TEST_BIN") or TOP / "build" / "dev" / "callgate")

# Only what a test says reaches the program: none of the caller's own settings.
PASSED_ON = ("PATH", "HOME", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")

def environment(database_url, settings=None):
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env["CALLGATE_DATABASE_URL"] = database_url
    env.update({name: str(value) for name, value in (settings or {}).items()})
    return env


def command(database_url, *args, settings=None, timeout=60, check=True, stdin=None):
    """Runs `callgate ARGS…` to its end."""
    done = subprocess.run([BIN, *map(str, args)], env=environment(database_url, settings), input=stdin,
                          stdin=subprocess.DEVNULL if stdin is None else None,
                          capture_output=True, text=True, timeout=timeout)
    if check:
        assert done.returncode == 0, f"callgate {' '.join(map(str, args))}: {done.returncode}\n{done.stderr}"
    return done


class Gateway:
    """One `callgate serve`. stop() demands a clean end; kill() is the crash."""

    def __init__(self, database_url, log, settings=None, port=None):
        self.database_url, self.log, self.settings = database_url, pathlib.Path(log), dict(settings or {})
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self, ready=True, seconds=30):
        settings = {"CALLGATE_LISTEN": f"127.0.0.1:{self.port}", "CALLGATE_LOG_FORMAT": "json", **self.settings}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BIN, "serve"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment(self.database_url, settings), start_new_session=True)
        if ready:
            until(f"{self.url}/readyz answers 200", self.ready, seconds)
        return self

    def ready(self):
        assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.tail()}"
        client = Client(self.url, timeout=5)
        try:
            return client.get("/readyz").status == 200
        except OSError:
            return False
        finally:
            client.close()

    def client(self, key=None, timeout=15):
        return Client(self.url, key, timeout)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """As a crash would: nothing is finished, nothing is given back."""
        if self.running:
            self.process.kill()
        self.process.wait(10)

    def stop(self, seconds=30):
        """SIGTERM, and exit 0 in time; a sanitizer's report is a failure here too."""
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        self.ended(seconds)

    def ended(self, seconds=30):
        """What stop() demands, of a gateway that has got its signal already."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the gateway did not end within {seconds} s:\n{self.tail()}") from None
        assert status == 0, f"the gateway ended with {status}:\n{self.tail()}"
        self.check_log()

    def check_log(self):
        text = self.text()
        for sign in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                     "WARNING: ThreadSanitizer"):
            assert sign not in text, f"a sanitizer complained:\n{text[text.index(sign) - 200:][:6000]}"

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=60):
        return "\n".join(self.text().splitlines()[-lines:])
