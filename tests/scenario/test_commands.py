"""The commands: migrate, apply, key, doctor, health, serve's start, and the words around them.
Exit status 0 done, 1 did not work out, 2 wrong usage or settings."""
import concurrent.futures
import copy
import json
import re
import subprocess
import uuid

import pytest

from harness.gateway import BIN, Gateway, command, environment, free_port
from harness.postgres import TOP, Database
from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_DRAIN_S": 0}
DOCUMENT = {"organizations": [{
    "name": "acme", "weight": 2, "maxConcurrent": 40, "callsPerSecond": 20, "burst": 3,
    "users": [{"email": "Ann@Example.org", "role": "owner"}, {"email": "bob@example.org"}],
    "accounts": [{"name": "main", "credits": "100.00"}],
    "trunks": [{"name": "sim", "driver": "simulator", "callsPerSecond": 2.5, "burst": 2, "maxConcurrent": 7}],
    "numbers": [{"number": "+886222220001", "trunk": "sim"}, {"number": "+886222220002", "trunk": None, "status": "inactive"}],
    "pools": [{"name": "all", "members": ["ann@example.org"], "numbers": ["+886222220001", "+886222220002"]}],
    "projects": [{"id": "proj_acme", "name": "Acme", "agent": "agent-1", "account": "main", "members": ["ann@example.org"],
                  "ratePerMinute": "0.012", "holdSeconds": 60, "ringTimeoutSeconds": 5, "maxDurationSeconds": 60}]}]}
TABLES = ("organizations", "users", "memberships", "credit_accounts", "credit_ledger", "trunks", "phone_numbers",
          "number_pools", "pool_members", "pool_numbers", "projects", "project_members", "api_keys")


@pytest.fixture
def empty(cluster):
    """A database without anything in it."""
    database = Database(cluster.create())
    yield database
    database.close()
    cluster.drop(database.url)


@pytest.fixture
def apply(callgate):
    def run(document, *options, check=True):
        text = document if isinstance(document, str) else json.dumps(document)
        return callgate("apply", *options, "-", stdin=text, check=check)
    return run


def everything(database):
    return {table: sorted(map(str, database.rows(f"select t.* from {table} t"))) for table in TABLES}


def changed(**organization):
    document = copy.deepcopy(DOCUMENT)
    document["organizations"][0].update(organization)
    return document


# ── migrate ──────────────────────────────────────────────────────────────────────────────

def test_migrate_creates_the_schema_and_again_does_nothing(empty):
    first = command(empty.url, "migrate").stdout
    version, new = map(int, re.fullmatch(r"schema version (\d+), (\d+) new\n", first).groups())
    assert version == new >= 1
    assert empty.value("select count(*) from shards") == 64
    days = empty.value("select count(*) from pg_inherits where inhparent = 'calls'::regclass")
    assert days >= 2, "no partitions were made ahead"
    assert command(empty.url, "migrate").stdout == f"schema version {version}, 0 new\n"


def test_migrate_may_run_from_several_places_at_once(empty):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: command(empty.url, "migrate"), range(4)))
    new = sorted(int(re.search(r"(\d+) new", one.stdout)[1]) for one in done)
    assert new[:3] == [0, 0, 0] and new[3] >= 1


def test_migrate_says_when_it_cannot_reach_the_database():
    done = command("postgresql://127.0.0.1:1/nowhere", "migrate", check=False)
    assert done.returncode == 1 and "Connection refused" in done.stderr and done.stdout == ""


def test_migrate_does_not_show_the_password():
    done = command("postgresql://joe:hunter2secret@127.0.0.1:1/nowhere", "migrate", check=False)
    assert done.returncode == 1 and "hunter2secret" not in done.stderr


def test_a_database_of_a_newer_version_is_left_alone(database, callgate):
    """Whatever the table is called: the one that migrate keeps its versions in gets one more."""
    table, column = database.row("""select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relkind = 'r' and c.relname ~ 'migration' and a.attname = 'version'""")
    newest = database.value(f"select max({column}) from {table}")
    database.execute(f"update {table} set {column} = {newest + 1000} where {column} = {newest}")
    for args in (("migrate",), ("key", "list", "--org", "x"), ("apply", "-")):
        done = callgate(*args, check=False, stdin=json.dumps(DOCUMENT))
        assert done.returncode == 1 and str(newest + 1000) in done.stderr, done
    assert "FAIL" in callgate("doctor", check=False).stdout


def test_commands_on_an_empty_database_say_what_to_do(empty):
    for args in (("key", "list", "--org", "x"), ("apply", "-"), ("key", "create", "--org", "x", "--user", "y@z")):
        done = command(empty.url, *args, check=False, stdin=json.dumps(DOCUMENT))
        assert done.returncode == 1 and "migrate" in done.stderr, done


# ── apply ────────────────────────────────────────────────────────────────────────────────

def test_apply_creates_what_the_document_holds(apply, database):
    out = apply(DOCUMENT).stdout
    assert out.splitlines()[-1] == "9 created, 0 updated, 0 unchanged"
    assert database.row("select weight, max_concurrent, cps_milli, burst from organizations") == (2, 40, 20000, 3)
    assert database.row("select driver, cps_milli, burst, max_concurrent, enabled from trunks") == ("simulator", 2500, 2, 7, True)
    assert database.row("select rate_mc, hold_s, ring_timeout_s, max_duration_s from projects") == (1200, 60, 5, 60)
    assert database.row("select balance_mc, held_mc from credit_accounts") == (10_000_000, 0)
    assert database.value("select sum(amount_mc) from credit_ledger") == 10_000_000
    assert {email for email, in database.rows("select email from users")} == {"ann@example.org", "bob@example.org"}


def test_apply_again_changes_nothing(apply, database):
    apply(DOCUMENT)
    before = everything(database)
    assert apply(DOCUMENT).stdout.splitlines()[-1] == "0 created, 0 updated, 9 unchanged"
    assert everything(database) == before


def test_apply_says_what_changed_and_changes_only_that(apply, database):
    apply(DOCUMENT)
    before = everything(database)
    out = apply(changed(trunks=[{"name": "sim", "driver": "simulator", "maxConcurrent": 8},
                                {"name": "spare", "driver": "simulator"}])).stdout
    assert re.search(r"updated\s+trunk\s+acme / sim\n", out) and re.search(r"created\s+trunk\s+acme / spare\n", out)
    assert out.splitlines()[-1] == "1 created, 1 updated, 8 unchanged"
    after = everything(database)
    assert [table for table in TABLES if before[table] != after[table]] == ["trunks"]
    assert database.row("select cps_milli, max_concurrent from trunks where name = 'sim'") == (2500, 8)


def test_apply_with_dry_run_tells_the_same_and_keeps_nothing(apply, database):
    before = everything(database)
    dry = apply(DOCUMENT, "--dry-run").stdout
    assert "dry run" in dry and everything(database) == before
    real = apply(DOCUMENT).stdout
    assert dry.splitlines()[:-1] == real.splitlines()[:-1]


def test_apply_tells_every_mistake_with_its_place_and_changes_nothing(apply, database):
    apply(DOCUMENT)
    before = everything(database)
    document = changed(wieght=3, weight=0, users=[{"email": "nobody"}, {"email": "ann@example.org", "role": "king"}])
    document["organizations"][0]["trunks"][0].update(driver="no blanks", callsPerSecond=-1)
    document["organizations"][0]["numbers"][0]["number"] = "+1 (415) 555-0100"
    document["organizations"].append({"weight": 2})
    done = apply(document, check=False)
    assert done.returncode == 1 and done.stdout == ""
    places = {line.split(": ")[0] for line in done.stderr.splitlines()}
    assert places >= {"/organizations/0/wieght", "/organizations/0/weight", "/organizations/0/users/0/email",
                      "/organizations/0/users/1/role", "/organizations/0/trunks/0/driver",
                      "/organizations/0/trunks/0/callsPerSecond", "/organizations/0/numbers/0/number", "/organizations/1"}
    assert "+14155550100" in done.stderr
    assert everything(database) == before


@pytest.mark.parametrize("member, value, place", [
    ("numbers", [{"number": "+886222220009", "trunk": "none"}], "/organizations/0/numbers/0/trunk"),
    ("pools", [{"name": "p", "members": ["eve@example.org"]}], "/organizations/0/pools/0/members/0"),
    ("pools", [{"name": "p", "numbers": ["+886222229999"]}], "/organizations/0/pools/0/numbers/0"),
    ("projects", [{"id": "p", "agent": "a", "account": "none"}], "/organizations/0/projects/0/account"),
    ("projects", [{"id": "p"}], "/organizations/0/projects/0")])
def test_a_mistake_that_only_the_database_sees_undoes_everything_too(apply, database, member, value, place):
    before = everything(database)
    document = changed()
    document["organizations"][0][member] = value
    document["organizations"][0]["name"] = "brand-new"
    done = apply(document, check=False)
    assert done.returncode == 1 and place in done.stderr, done.stderr
    assert everything(database) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"organizations": 1}', "{}", '{"organizations": [], "organisations": []}',
                                  '{"organizations": [], "organizations": []}', "\x00"])
def test_a_document_that_is_none_is_refused(apply, text):
    done = apply(text, check=False)
    assert done.returncode == 1 and "nothing was changed" in done.stderr


def test_apply_says_when_there_is_no_such_file(callgate, tmp_path):
    done = callgate("apply", tmp_path / "none.json", check=False)
    assert done.returncode == 1 and "none.json" in done.stderr


def test_the_demo_document_is_good(callgate, database):
    callgate("apply", TOP / "scripts" / "demo.json")
    assert database.value("select count(*) from projects where public_id = 'proj_demo'") == 1


def test_from_apply_to_a_completed_call(apply, callgate, gateways):
    """The whole of what an operator does, with the commands alone."""
    apply(DOCUMENT)
    key = callgate("key", "create", "--org", "acme", "--user", "ann@example.org").stdout.strip()
    client = gateways().client(key)
    answer = client.post("/v1/calls/outbound", {"projectId": "proj_acme", "fromNumber": "+886222220001", "toNumber": destination(110)})
    assert answer.status == 200, answer
    place = answer.headers["location"]
    record = until("the call has ended", lambda: (r := client.get(place).json)["timeline"]["endedAt"] and r)
    assert record["state"] == "completed" and record["agent"] == "agent-1"


# ── keys ─────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("options, prefix", [
    ((), "dk_"), (("--test",), "dk_test_"), (("--kind", "kros"), "kros_live_"), (("--kind=kros", "--test"), "kros_test_"),
    (("--kind", "sk_car"), "sk_car_"), (("--kind", "sk"), "sk_live_")])
def test_a_new_key_goes_alone_to_standard_output_and_only_its_digest_is_kept(apply, callgate, database, options, prefix):
    apply(DOCUMENT)
    done = callgate("key", "create", "--org", "acme", "--user", "ANN@example.org", *options)
    key = done.stdout.removesuffix("\n")
    assert re.fullmatch(prefix + r"[0-9a-z]+_[0-9A-Za-z]{40}", key)
    assert key not in done.stderr
    row = database.row("select key_hash = sha256(%s::bytea), test, hint, k::text from api_keys k", key.encode())
    assert row[:2] == (True, "--test" in options)
    assert row[2].endswith(key[-4:]) and key[:-4][-36:] not in row[3]


def test_keys_are_listed_without_being_shown(apply, callgate):
    apply(DOCUMENT)
    one = callgate("key", "create", "--org", "acme", "--user", "ann@example.org", "--name", "ci", "--expires", "90d").stdout.strip()
    two = callgate("key", "create", "--org", "acme", "--user", "bob@example.org", "--test").stdout.strip()
    out = callgate("key", "list", "--org", "acme").stdout
    assert len(out.splitlines()) == 3
    assert one not in out and two not in out and one[-4:] in out and two[-4:] in out
    assert "ann@example.org  ci" in out and "bob@example.org" in out


@pytest.mark.parametrize("by", ["id", "text"])
def test_a_revoked_key_is_401_at_once(apply, callgate, gateways, database, by):
    apply(DOCUMENT)
    key = callgate("key", "create", "--org", "acme", "--user", "ann@example.org").stdout.strip()
    other = callgate("key", "create", "--org", "acme", "--user", "ann@example.org").stdout.strip()
    gateway = gateways()
    body = {"projectId": "proj_acme", "fromNumber": "+886222220001"}
    client = gateway.client(key)
    answer = client.post("/v1/calls/outbound", {**body, "toNumber": destination()})
    assert answer.status == 200, answer
    which = key if by == "text" else str(database.value("select key_id from api_keys where key_hash = sha256(%s)", key.encode()))
    assert callgate("key", "revoke", "--org", "acme", which).stdout == "revoked\n"
    assert client.post("/v1/calls/outbound", {**body, "toNumber": destination()}).status == 401
    assert client.get(answer.headers["location"]).status == 401
    assert gateway.client(other).get(answer.headers["location"]).status == 200
    again = callgate("key", "revoke", "--org", "acme", which)
    assert "before" in again.stdout


def test_a_key_that_expires_is_good_until_then(apply, callgate, gateways, database):
    apply(DOCUMENT)
    key = callgate("key", "create", "--org", "acme", "--user", "ann@example.org", "--expires", "1d").stdout.strip()
    client = gateways().client(key)
    assert client.get(f"/v1/calls/{uuid.uuid4()}").status == 404
    database.execute("update api_keys set expires_at = now() - interval '1 second'")
    assert client.get(f"/v1/calls/{uuid.uuid4()}").status == 401


@pytest.mark.parametrize("args, status", [
    (("create", "--org", "nobody", "--user", "ann@example.org"), 1), (("create", "--org", "acme", "--user", "eve@example.org"), 1),
    (("create", "--org", "acme"), 2), (("create", "--user", "ann@example.org"), 2),
    (("create", "--org", "acme", "--user", "ann@example.org", "--kind", "xx"), 2),
    (("create", "--org", "acme", "--user", "ann@example.org", "--expires", "yesterday"), 2),
    (("create", "--org", "acme", "--user", "ann@example.org", "--expires", "2020-01-01T00:00:00Z"), 2),
    (("list", "--org", "nobody"), 1), (("list",), 2), (("revoke", "--org", "acme"), 2),
    (("revoke", "--org", "acme", "dk_1_" + "x" * 40), 1), (("revoke", "--org", "acme", str(uuid.uuid4())), 1),
    (("revoke", "--org", "acme", "rubbish"), 1), ((), 2), (("destroy", "--org", "acme"), 2)])
def test_wrong_words_about_keys(apply, callgate, database, args, status):
    apply(DOCUMENT)
    done = callgate("key", *args, check=False)
    assert done.returncode == status and done.stderr and done.stdout == "", done
    assert database.value("select count(*) from api_keys") == 0


def test_a_key_is_not_revoked_through_another_organization(apply, callgate, database):
    document = changed()
    document["organizations"].append({"name": "other"})
    apply(document)
    key = callgate("key", "create", "--org", "acme", "--user", "ann@example.org").stdout.strip()
    for which in (key, str(database.value("select key_id from api_keys"))):
        assert callgate("key", "revoke", "--org", "other", which, check=False).returncode == 1
    assert database.value("select revoked_at from api_keys") is None


# ── doctor ───────────────────────────────────────────────────────────────────────────────

def test_doctor_finds_nothing_wrong_where_nothing_is(apply, callgate, gateways):
    apply(changed(numbers=[{"number": "+886222220001", "trunk": "sim"}],
                  pools=[{"name": "all", "members": ["ann@example.org"], "numbers": ["+886222220001"]}]))
    callgate("key", "create", "--org", "acme", "--user", "ann@example.org")
    gateways()
    done = callgate("doctor")
    assert ", 0 to look at, 0 failed" in done.stdout, done.stdout


FAULTS = {
    "driver": ("update trunks set driver = 'pigeon'", 1, "pigeon"),
    "trunk-off": ("update trunks set enabled = false", 0, "switched off"),
    "trunk-pace": ("update trunks set cps_milli = 0", 0, "callsPerSecond"),
    "no-trunk": ("update phone_numbers set trunk_id = null", 0, "no trunk"),
    "no-pool": ("delete from pool_numbers", 0, "in no pool"),
    "no-members": ("delete from project_members", 0, "no members"),
    "no-credits": ("delete from credit_ledger; update credit_accounts set balance_mc = 0", 0, "nothing left"),
    "held": ("update credit_accounts set held_mc = 5", 1, "its living calls hold 0"),
    "lock": ("insert into destination_locks select '+12025550177', 0, org_id, gen_random_uuid() from organizations", 1, "set it free"),
    "queue": ("insert into call_queue select org_id, 1, 1, 1, gen_random_uuid(), 1 from organizations", 1, "take it out"),
    "bound": ("""insert into call_inflight (org_id, call_id, gateway_id, project_id, trunk_id, prio, attempt, deadline_at, agent)
                 select org_id, gen_random_uuid(), 99, 1, 1, 1, 1, now() - interval '1 day', 'a' from organizations""", 1, "start one"),
    "today": ("""do $$ begin execute 'drop table calls_p' || to_char(now() at time zone 'UTC', 'YYYYMMDD'); end $$""", 1, "migrate"),
    "ledger": ("update credit_accounts set balance_mc = balance_mc + 1", 1, "ledger"),
    "no-key": ("update api_keys set revoked_at = now()", 0, "key create"),
    "lease": ("insert into gateways (name, version, expires_at) values ('gone', 'x', now() - interval '1 hour')", 0, "gone"),
    "partitions": ("""do $$ declare p text; begin for p in select inhrelid::regclass from pg_inherits
                      where inhparent = 'calls'::regclass and right(inhrelid::regclass::text, 8) > to_char(current_date, 'YYYYMMDD')
                      loop execute 'drop table ' || p; end loop; end $$""", 1, "migrate"),
}


@pytest.mark.broken_books
@pytest.mark.parametrize("name", FAULTS)
def test_doctor_finds_a_planted_fault_and_says_what_to_do(apply, callgate, database, name):
    sql, status, words = FAULTS[name]
    apply(DOCUMENT)
    callgate("key", "create", "--org", "acme", "--user", "ann@example.org")
    healthy = callgate("doctor").stdout.splitlines()
    database.execute(sql)
    done = callgate("doctor", check=False)
    assert done.returncode == status, done.stdout
    new = [line for line in done.stdout.splitlines()[:-1] if line not in healthy and not line.startswith("ok")]
    assert any(words in line for line in new), done.stdout
    assert all(line.startswith("FAIL" if status else "warn") for line in new if words in line)


def test_doctor_on_an_empty_database_says_migrate(empty):
    done = command(empty.url, "doctor", check=False)
    assert done.returncode == 1 and re.search(r"^FAIL +schema .*migrate", done.stdout, re.M), done.stdout


def test_doctor_without_a_database_still_looks_at_the_rest():
    done = command("postgresql://127.0.0.1:1/nowhere", "doctor", check=False, settings={"CALLGATE_HTTP_THREADS": "many"})
    assert done.returncode == 1
    assert re.search(r"^FAIL +settings +.*CALLGATE_HTTP_THREADS", done.stdout, re.M) and re.search(r"^FAIL +database", done.stdout, re.M)


@pytest.mark.parametrize("where", ["none/ledger", ".", "file/ledger"])
def test_doctor_finds_a_ledger_of_the_simulator_that_cannot_be_written(callgate, tmp_path, where):
    (tmp_path / "file").touch()
    done = callgate("doctor", settings={"CALLGATE_SIMULATOR_LEDGER": tmp_path / where}, check=False)
    assert done.returncode == 1 and re.search(r"^FAIL +simulator .*CALLGATE_SIMULATOR_LEDGER", done.stdout, re.M), done.stdout
    done = callgate("doctor", settings={"CALLGATE_SIMULATOR_LEDGER": tmp_path / "new"})
    assert "simulator" not in done.stdout and not (tmp_path / "new").exists()


# ── health ───────────────────────────────────────────────────────────────────────────────

def test_health_asks_the_gateway_of_this_machine(callgate, gateways):
    gateway = gateways()
    done = callgate("health", settings={"CALLGATE_LISTEN": f"0.0.0.0:{gateway.port}"})
    assert json.loads(done.stdout)["status"] == "ready"
    gateway.stop()
    done = callgate("health", settings={"CALLGATE_LISTEN": f"127.0.0.1:{gateway.port}"}, check=False)
    assert done.returncode == 1 and done.stderr


def test_health_fails_while_the_gateway_is_not_ready(callgate, tmp_path):
    gateway = Gateway("postgresql://127.0.0.1:1/nowhere", tmp_path / "log", SETTINGS).start(ready=False)
    where = {"CALLGATE_LISTEN": f"127.0.0.1:{gateway.port}"}
    try:
        done = until("the gateway answers", lambda: (d := callgate("health", settings=where, check=False)).stdout and d)
        assert done.returncode == 1 and json.loads(done.stdout)["status"] == "not_ready"
    finally:
        gateway.stop()


# ── settings ─────────────────────────────────────────────────────────────────────────────

WRONG = {"CALLGATE_HTTP_THREADS": "0", "CALLGATE_LEASE_TTL_MS": "soon", "CALLGATE_SIMULATOR_SPEED": "nan", "CALLGATE_LOG_LEVEL": "loud",
         "CALLGATE_LOG_FORMAT": "xml", "CALLGATE_ACCESS_LOG": "perhaps", "CALLGATE_LISTEN": "8080", "CALLGATE_MAX_ATTEMPTS": "11",
         "CALLGATE_HTTP_THREDS": "2", "CALLGATE_QUEUE_TTL_S": "1e3"}


WRONG_URLS = ["postgresql://joe:hunter%zz@host/x", "host=h password=hunter two", "postgresql://joe:hunter/2@host:hunter/x?hunter=1"]


@pytest.mark.parametrize("url", WRONG_URLS)
@pytest.mark.parametrize("args", [("serve",), ("migrate",), ("key", "list", "--org", "x"), ("doctor",)])
def test_a_database_url_that_cannot_be_read_is_a_mistake_of_the_settings(args, url):
    done = command(url, *args, check=False, timeout=20)
    assert done.returncode == (1 if args == ("doctor",) else 2), done
    assert "CALLGATE_DATABASE_URL: it is not a connection string" in done.stdout + done.stderr
    assert not re.search("hunter|joe|host=h", done.stdout + done.stderr)


@pytest.mark.parametrize("args", [("serve",), ("migrate",), ("key", "list", "--org", "x")])
def test_all_mistakes_of_the_settings_are_told_at_once_with_exit_2(args):
    done = subprocess.run([BIN, *args], env={**environment("", WRONG), "CALLGATE_DATABASE_URL": ""},
                          capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done
    for name in (*WRONG, "CALLGATE_DATABASE_URL"):
        assert f"{name}:" in done.stderr, done.stderr


def test_a_secret_may_come_from_a_file_and_settings_from_another(database, tmp_path):
    secret, settings = tmp_path / "url", tmp_path / "env"
    secret.write_text(database.url + "\n")
    settings.write_text(f"# ours\nexport CALLGATE_DATABASE_URL_FILE='{secret}'\nCALLGATE_LOG_LEVEL=debug\n")
    done = command("", "migrate", settings={"CALLGATE_ENV_FILE": settings})
    assert "0 new" in done.stdout
    done = command(database.url, "migrate", settings={"CALLGATE_DATABASE_URL_FILE": secret}, check=False)
    assert done.returncode == 2 and "both" in done.stderr
    settings.write_text("CALLGATE_LOG_LEVEL=loud\nnot a line\n")
    done = command(database.url, "migrate", settings={"CALLGATE_ENV_FILE": settings}, check=False)
    assert done.returncode == 2 and "CALLGATE_LOG_LEVEL" in done.stderr and f"{settings}:2" in done.stderr


def test_DATABASE_URL_serves_too(database):
    assert "0 new" in command("", "migrate", settings={"DATABASE_URL": database.url}).stdout


# ── serve's start ────────────────────────────────────────────────────────────────────────

def test_serve_with_migrate_brings_the_schema_up(empty, tmp_path):
    port = free_port()
    log = open(tmp_path / "log", "wb")
    process = subprocess.Popen([BIN, "serve", "--migrate"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                               env=environment(empty.url, {**SETTINGS, "CALLGATE_LISTEN": f"127.0.0.1:{port}"}))
    gateway = Gateway(empty.url, tmp_path / "log", port=port)
    gateway.process = process
    try:
        until("the gateway is ready", gateway.ready, 30)
    finally:
        log.close()
        gateway.stop()


def test_serve_does_not_start_on_a_schema_it_does_not_know(empty, tmp_path):
    gateway = Gateway(empty.url, tmp_path / "log", SETTINGS).start(ready=False)
    try:
        assert gateway.process.wait(20) == 1
        assert "migrate" in gateway.text()
        gateway.check_log()
    finally:
        gateway.kill()


def test_a_port_that_is_taken_is_told(gateways, database, tmp_path):
    first = gateways()
    second = Gateway(database.url, tmp_path / "second", SETTINGS, first.port).start(ready=False)
    try:
        assert second.process.wait(20) == 1
        assert "already in use" in second.text()
        second.check_log()
    finally:
        second.kill()
    assert first.ready()


# ── words ────────────────────────────────────────────────────────────────────────────────

COMMANDS = ("serve", "migrate", "apply", "key", "doctor", "health")


@pytest.mark.parametrize("args", [("version",), ("--version",)])
def test_version(args):
    assert re.fullmatch(r"callgate \d+\.\d+\.\d+\S*\n", command("", *args).stdout)


@pytest.mark.parametrize("args", [("--help",), ("-h",), ("help",)])
def test_help_names_every_command(args):
    out = command("", *args).stdout
    assert all(f"  {name}" in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    assert command("", name, "--help").stdout.startswith(f"usage: callgate {name}")


def test_the_help_of_serve_lists_the_settings_of_the_documentation():
    out = command("", "serve", "--help").stdout
    documented = set(re.findall(r"^\| `(CALLGATE_\w+)`", (TOP / "docs" / "settings.md").read_text(), re.M))
    assert set(re.findall(r"^  (CALLGATE_\w+)", out, re.M)) == documented


@pytest.mark.parametrize("args", [(), ("dance",), ("serve", "--fast"), ("migrate", "now"), ("apply",), ("apply", "a", "b"), ("health", "x"),
                                  ("doctor", "x"), ("key", "create", "--org")])
def test_wrong_usage_is_exit_2_with_words(args):
    done = command("postgresql://127.0.0.1:1/x", *args, check=False)
    assert done.returncode == 2 and "usage" in done.stderr and done.stdout == ""
