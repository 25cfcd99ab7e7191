"""The lines of docs/api.md and README.md work as they stand: each page's blocks of sh are run in
their order, in one shell, beside what scripts/run leaves (build/dev.env, the demo tenant), as
by a reader who pastes them. Every route has a line.

A comment that names a status ("# 409") announces it: what is not announced has to be 2xx."""
import json
import re
import subprocess
import urllib.parse

import pytest

from harness.gateway import BIN, command, environment
from harness.postgres import TOP

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 5, "CALLGATE_DRAIN_S": 0}
PAGES = {"api.md": TOP / "docs" / "api.md", "README.md": TOP / "README.md"}
# Only LiveKit can sign for this one.
WITHOUT_A_LINE = {("POST", "/v1/providers/livekit/webhook")}
# What builds, installs or serves: not for a test beside a gateway that serves already.
NOT_HERE = re.compile(r"^\s*(scripts/|docker |cmake )", re.M)

PRELUDE = r"""
set -u
curl() {
	command curl --silent --max-time 20 -w '%{stderr}%{http_code} %{method} %{url_effective}\n' "$@" 2>>statuses
}
callgate() { command "$CALLGATE_BIN" "$@"; }
"""


def blocks(page):
    found = re.findall(r"^```sh\n(.*?)^```", PAGES[page].read_text(), re.M | re.S)
    return [block for block in found if not NOT_HERE.search(block)]


def announced(block):
    return [int(status) for status in re.findall(r"#[^\n]*\b([345]\d\d)\b", block)]


@pytest.fixture
def folder(tmp_path, database, gateways):
    """What a reader has after scripts/run --detach, and a shell in it."""
    demo = TOP / "scripts" / "demo.json"
    command(database.url, "apply", demo)
    key = command(database.url, "key", "create", "--org", "demo", "--user", "dev@example.org", "--name", "docs").stdout.strip()
    gateway = gateways()
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "release").mkdir()
    (tmp_path / "build" / "release" / "callgate").symlink_to(BIN)
    (tmp_path / "build" / "dev.env").write_text(
        f"CALLGATE_URL={gateway.url}\nCALLGATE_KEY={key}\nCALLGATE_PROJECT_ID=proj_demo\n"
        f"CALLGATE_FROM_NUMBER=+14155550199\nCALLGATE_DATABASE_URL='{database.url}'\n")
    return tmp_path


def run(folder, database, page):
    """Pastes the blocks of a page; returns (block, [(status, method, path)], what it printed) of each."""
    parts = blocks(page)
    script = [PRELUDE, "exec 2>&1; " + ("" if page == "README.md" else ". build/dev.env")]
    for n, block in enumerate(parts):
        script += [f"echo '--- {n}' >>statuses; printf '\\n--- {n}\\n'", block]
    (folder / "script").write_text("\n".join(script))
    done = subprocess.run(["bash", "script"], cwd=folder, env={**environment(database.url), "CALLGATE_BIN": str(BIN)},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert (folder / "statuses").exists(), done.stdout + done.stderr
    requests = re.split(r"^--- \d+\n", (folder / "statuses").read_text(), flags=re.M)[1:]
    printed = re.split(r"^--- \d+\n", done.stdout, flags=re.M)[1:]
    assert len(requests) == len(printed) == len(parts), f"the shell ended early:\n{done.stdout}"
    return [(block, [parse(line) for line in lines.splitlines()], out)
            for block, lines, out in zip(parts, requests, printed)]


def parse(line):
    status, method, url = line.split(" ", 2)
    return int(status), method, urllib.parse.urlsplit(url).path


def routes():
    text = (TOP / "src" / "api" / "router.c").read_text()
    found = set(re.findall(r'\{\s*"([A-Z]+)",\s*"(/[^"]*)",', text))
    assert len(found) >= 5, "the table of src/api/router.c has another shape"
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_line_of_the_page_works_as_it_stands(page, folder, database):
    faults = []
    for block, requests, printed in run(folder, database, page):
        odd = [status for status, _, _ in requests if not 200 <= status < 300]
        if odd != announced(block):
            faults.append(f"{block}\nanswered {requests}, announced {announced(block)}:\n{printed}")
        if re.search(r"unbound variable|command not found|No such file", printed):
            faults.append(f"{block}\nsaid:\n{printed}")
    assert not faults, "\n\n".join(faults)


def test_every_route_has_a_line(folder, database):
    asked = {(method, path) for _, requests, _ in run(folder, database, "api.md") for _, method, path in requests}
    for method, pattern in sorted(routes() - WITHOUT_A_LINE):
        shape = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern)))
        assert any(method == m and shape.fullmatch(path) for m, path in asked), \
            f"docs/api.md has no line for {method} {pattern}"


def test_every_example_of_json_is_json():
    for page, path in PAGES.items():
        for example in re.findall(r"^```json\n(.*?)^```", path.read_text(), re.M | re.S):
            json.loads(example)


def test_every_route_stands_in_the_table():
    """The table at the top of docs/api.md lists exactly the routes there are."""
    table = set(re.findall(r"^\| `([A-Z]+) (/[^`]*)` \|", PAGES["api.md"].read_text(), re.M))
    assert table == routes()


def test_every_code_of_the_livekit_driver_is_explained():
    """They stand in the records of calls; a new one is not done before a reader can look it up."""
    code = r'"([a-z][a-z_]+)"'
    said, codes = r"outcome\(\s*REASON_\w+,[^;]*;|end_undialed\(\w+,[^;]*;|provider_code,[^;]*;", set()
    for path in sorted((TOP / "src" / "provider").glob("livekit*.c")):
        source = path.read_text()
        codes |= {name for part in re.findall(said, source) for name in re.findall(code, part)}
        codes |= set(re.findall(r"(?:NOBODY|SERVER|TRUNK|SIP),\s*" + code + r"\s*\}", source))
    page = (TOP / "docs" / "livekit.md").read_text()
    assert {"ring_timeout", "unreachable", "gone"} < codes
    assert not {name for name in codes if f"`{name}`" not in page}
