"""An agent worker, tests/e2e/agent, and what it says of the jobs it got."""
import json
import os
import subprocess

from harness.wait import until

from . import livekit
from .ports import HTTP


class Agent:
    def __init__(self, name, folder):
        self.log = folder / f"agent-{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["CALLGATE_E2E_AGENT"], f"ws://127.0.0.1:{HTTP}", livekit.KEY, livekit.SECRET, name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        until(f"agent {name} is registered", lambda: b'"registered"' in self.log.read_bytes(), 15)

    def jobs(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return [job for job in (json.loads(line) for line in lines if line.startswith("{")) if "room" in job]

    def job(self, room, seconds=10):
        return until(f"the agent joins {room}", lambda: next((j for j in self.jobs() if j["room"] == room), None), seconds)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
