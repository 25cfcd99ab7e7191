"""Tenants for tests, written straight into the database, so that a test says in one line what
it stands on and owes nothing to `callgate apply`. (test_commands.py is about that one.)

Every test makes tenants of its own; names, numbers and destinations are never used twice in
a run, so tests may share a gateway."""
import hashlib
import itertools
import secrets
import string

from .wait import until

KINDS = {"dk": (0, "dk_", "dk_test_"), "kros": (1, "kros_live_", "kros_test_"),
         "sk_car": (2, "sk_car_", "sk_car_test_"), "sk": (3, "sk_live_", "sk_test_")}
FINAL = ("completed", "no_answer", "busy", "canceled", "failed")

_names = itertools.count(1)
_plain = itertools.count(1)
_lives = {}


def destination(life=None):
    """A number nobody has called yet: an ordinary one, which answers and talks for a while, or
    one of the reserved lives, destination(101) being busy."""
    if life is None:
        return f"+4930{next(_plain):08}"
    return f"+1{200 + next(_lives.setdefault(life, itertools.count())):03}555{life:04}"


def base36(n):
    digits = ""
    while n:
        n, digit = divmod(n, 36)
        digits = (string.digits + string.ascii_lowercase)[digit] + digits
    return digits


def key_text(org_id, kind="dk", test=False):
    secret = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))
    return f"{KINDS[kind][2 if test else 1]}{base36(org_id)}_{secret}"


class World:
    def __init__(self, database):
        self.db = database

    def organization(self, **columns):
        return Organization(self.db, columns)

    def tenant(self, trunk=None, project=None, number=None, credits_mc=100_000_000, **organization):
        """One of everything, and a key that may use it all."""
        return Tenant(self.db, organization, trunk or {}, project or {}, number or {}, credits_mc)


class Organization:
    def __init__(self, db, columns):
        self.db = db
        self.name = columns.setdefault("name", f"org-{next(_names)}")
        self.org_id = self._insert("organizations", columns, "org_id")

    def _insert(self, table, columns, returning=None):
        names = ", ".join(columns)
        sql = f"insert into {table} ({names}) values ({', '.join(['%s'] * len(columns))})"
        if returning:
            return self.db.value(f"{sql} returning {returning}", *columns.values())
        return self.db.execute(sql, *columns.values())

    def _next(self, table, column):
        return self.db.value(f"select coalesce(max({column}), 0) + 1 from {table} where org_id = %s", self.org_id)

    def user(self, role="member"):
        user = self._insert("users", {"email": f"u{next(_names)}@example.org"}, "user_id")
        self.join(user, role)
        return user

    def join(self, user, role="member"):
        self._insert("memberships", {"org_id": self.org_id, "user_id": user, "role": role})

    def account(self, credits_mc):
        account = self._next("credit_accounts", "account_id")
        self._insert("credit_accounts", {"org_id": self.org_id, "account_id": account,
                                         "name": f"account-{account}", "balance_mc": credits_mc})
        if credits_mc:
            self._insert("credit_ledger", {"org_id": self.org_id, "account_id": account, "kind": 1,
                                           "amount_mc": credits_mc})
        return account

    def trunk(self, **columns):
        trunk = self._next("trunks", "trunk_id")
        self._insert("trunks", {"org_id": self.org_id, "trunk_id": trunk, "name": f"trunk-{trunk}",
                                "driver": "simulator", "cps_milli": 1_000_000, "burst": 1000,
                                "max_concurrent": 1000, **columns})
        return trunk

    def number(self, trunk, **columns):
        e164 = columns.pop("e164", None) or f"+8869{next(_plain):08}"
        self._insert("phone_numbers", {"org_id": self.org_id, "e164": e164, "trunk_id": trunk, **columns})
        return e164

    def pool(self, members, numbers):
        pool = self._next("number_pools", "pool_id")
        self._insert("number_pools", {"org_id": self.org_id, "pool_id": pool, "name": f"pool-{pool}"})
        for user in members:
            self._insert("pool_members", {"org_id": self.org_id, "user_id": user, "pool_id": pool})
        for e164 in numbers:
            self._insert("pool_numbers", {"org_id": self.org_id, "e164": e164, "pool_id": pool})
        return pool

    def project(self, account, members, **columns):
        """Returns (public id, number within the organization)."""
        project = self._next("projects", "project_id")
        public = columns.pop("public_id", f"proj_{next(_names)}")
        self._insert("projects", {"org_id": self.org_id, "project_id": project, "public_id": public,
                                  "name": public, "agent": f"agent-of-{public}", "account_id": account,
                                  "rate_mc": 1200, "hold_s": 60, "ring_timeout_s": 5, "max_duration_s": 60,
                                  **columns})
        for user in members:
            self._insert("project_members", {"org_id": self.org_id, "project_id": project, "user_id": user})
        return public, project

    def key(self, user, kind="dk", test=False, **columns):
        text = key_text(self.org_id, kind, test)
        self._insert("api_keys", {"org_id": self.org_id, "key_hash": hashlib.sha256(text.encode()).digest(),
                                  "user_id": user, "kind": KINDS[kind][0], "test": test,
                                  "hint": f"{KINDS[kind][2 if test else 1]}…{text[-4:]}", **columns})
        return text


class Tenant(Organization):
    def __init__(self, db, organization, trunk, project, number, credits_mc):
        super().__init__(db, organization)
        self.user_id = self.user()
        self.account_id = self.account(credits_mc)
        self.trunk_id = self.trunk(**trunk)
        self.from_number = self.number(self.trunk_id, **number)
        self.pool_id = self.pool([self.user_id], [self.from_number])
        self.project_public, self.project_id = self.project(self.account_id, [self.user_id], **project)
        self.key_text = self.key(self.user_id)

    def body(self, to=None, **members):
        """A request body that is accepted; a member given as None is left out."""
        body = {"projectId": self.project_public, "fromNumber": self.from_number,
                "toNumber": to or destination(), **members}
        return {name: value for name, value in body.items() if value is not None}

    def at(self, gateway, key=None):
        return Caller(self, gateway.client(key or self.key_text))

    def set_trunk(self, **columns):
        names = ", ".join(f"{name} = %s" for name in columns)
        self.db.execute(f"update trunks set {names} where org_id = %s and trunk_id = %s",
                        *columns.values(), self.org_id, self.trunk_id)


class Caller:
    """A tenant at a gateway: posts, follows, waits."""

    def __init__(self, tenant, client):
        self.tenant, self.client = tenant, client

    def post(self, to=None, **members):
        return self.client.post("/v1/calls/outbound", self.tenant.body(to, **members))

    def call(self, to=None, **members):
        """Posts, demands 200, returns the call's id."""
        answer = self.post(to, **members)
        assert answer.status == 200, answer
        return answer.json["callId"]

    def get(self, call_id):
        answer = self.client.get(f"/v1/calls/{call_id}")
        assert answer.status == 200, answer
        return answer.json

    def until(self, call_id, check, what, seconds=20):
        """The first record for which check() holds."""
        def look():
            record = self.get(call_id)
            return record if check(record) else None
        return until(f"call {call_id} {what}", look, seconds)

    def state(self, call_id, *states, seconds=20):
        return self.until(call_id, lambda r: r["state"] in states, f"is {' or '.join(states)}", seconds)

    def end(self, call_id, seconds=20):
        return self.state(call_id, *FINAL, seconds=seconds)
