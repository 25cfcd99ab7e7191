"""LiveKit's own npm package, asked from a test (tests/judge). Where it cannot be had, the test is
skipped and says why."""
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from .postgres import TOP

HOME = TOP / "tests" / "judge"
FILES = ("package.json", "package-lock.json")


def install():
    """Exactly what the lock says, in the build folder; done again when the lock changes."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: LiveKit's own package cannot judge")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 19:
        pytest.skip(f"node is {version}; LiveKit's own package wants 19 or newer")
    digest = hashlib.sha256(b"".join((HOME / name).read_bytes() for name in FILES)).hexdigest()[:16]
    folder = TOP / "build" / "judge" / digest
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:        # tests may run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        fill(folder)
    return folder


def fill(folder):
    if not (folder / "done").exists():
        for name in FILES:
            shutil.copy(HOME / name, folder)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=os.environ)
        if done.returncode:
            pytest.skip(f"npm could not install LiveKit's own package: {done.stderr.strip()[-300:]}")
        (folder / "done").touch()


class Judge:
    def __init__(self, folder: pathlib.Path):
        self.process = subprocess.Popen(["node", HOME / "judge.mjs", folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __call__(self, do, **order):
        self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the judge has ended with {self.process.wait()}"
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def judge():
    one = Judge(install())
    yield one
    one.close()
