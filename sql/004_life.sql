-- The whole life of a call: what a client may say about it beyond the documented fields, what
-- it costs by destination, keys that make a repeated request harmless, cancellation, and the
-- history of everything in one order.

-- ── the record ──────────────────────────────────────────────────────────────────────────────────────────────────────

-- What decided the call stands with it, so that later edits of the trunk, the project or the
-- rates do not change what is told about it.
alter table calls
  add column prio         smallint not null default 1,   -- 0 high, 1 normal, 2 low
  add column edits        smallint not null default 0,   -- how often PATCH changed it; part of the ETag
  add column increment_s  smallint not null default 1,
  add column minimum_s    smallint not null default 1,
  add column metadata     text,                          -- JSON object as sent, without white space
  add column scheduled_at timestamptz,
  add column expires_at   timestamptz,                   -- not dialed after; null: the queue's own bound, by age
  add column cancel_at    timestamptz,                   -- when the client asked for its end
  add column trunk_name   text,
  add column driver       text,
  add column rate_prefix  text collate "C";              -- whose rate it is; null: the project's

-- `timed`: it has a row in call_expiry, and the bound by age is not for it.
alter table call_queue add column timed boolean not null default false;
alter table call_schedule
  add column timed  boolean not null default false,
  add column locked boolean not null default true,       -- false: its destination has still to be locked
  -- Due, and another call has its destination: which that is, and since when it waits. Those form a line, and
  -- nobody who comes later gets in before it.
  add column dest  text collate "C",
  add column scope bigint,
  add column since timestamptz;
create index call_schedule_line on call_schedule (dest, scope, since, call_id) where dest is not null;
alter table call_inflight
  add column timed     boolean not null default false,
  add column cancel_at timestamptz;
create index call_inflight_cancel on call_inflight (gateway_id) where cancel_at is not null;

-- Calls with a bound of their own. A row may outlive its call: whoever comes by finds nothing to end.
create table call_expiry (
  org_id  bigint not null,
  call_id uuid not null,
  shard   smallint not null,
  at      timestamptz not null,
  primary key (org_id, call_id))
  with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index call_expiry_due on call_expiry (shard, at);

-- An organization's history in one order, for GET /v1/events.
create index call_events_feed on call_events (org_id, at, call_id, seq);

-- ── money ───────────────────────────────────────────────────────────────────────────────────────────────────────────

-- The longest prefix of a destination decides; where there is none, the project's own rate.
create table rates (
  org_id      bigint not null references organizations,
  prefix      text collate "C" not null check (prefix ~ '^\+[0-9]{0,15}$'),
  rate_mc     bigint not null check (rate_mc between 0 and 1000000000),        -- per minute
  increment_s smallint not null default 1 check (increment_s between 1 and 3600),
  minimum_s   smallint not null default 1 check (minimum_s between 1 and 3600),
  primary key (org_id, prefix));
create index rates_longest on rates (org_id, length(prefix));     -- how long a prefix is worth looking for

alter table projects
  add column increment_s smallint not null default 1 check (increment_s between 1 and 3600),
  add column minimum_s   smallint not null default 1 check (minimum_s between 1 and 3600),
  add column own_account boolean not null default true;  -- false: account_id is kept its organization's default

-- Projects that have no account of their own draw on it.
alter table organizations add column default_account int;
update organizations o set default_account = (select min(account_id) from credit_accounts a where a.org_id = o.org_id);

-- An account's entries in order. An entry is written while its account is locked, so `at` is the order of the commits too;
-- its id says nothing of how many others there are.
alter table credit_ledger
  drop column entry_id,
  add column id        uuid not null default gen_random_uuid(),
  add column reference text collate "C",                 -- whose payment it is; booked once, however often it is said
  add primary key (org_id, account_id, at, id);
create unique index credit_ledger_reference on credit_ledger (org_id, reference) where reference is not null;

-- ── idempotency ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- One row for a request that was carried out, written with what it did. The key is the digest
-- of route and key as the client sent them; `print` that of the body.
create table idempotency_keys (
  org_id     bigint not null,
  user_id    uuid not null,
  test       boolean not null,
  key        bytea not null,
  print      bytea not null,
  call_id    uuid not null,
  counts_from timestamptz not null default now(),        -- its age; that of a scheduled call: from when it is due
  primary key (org_id, user_id, test, key))
  with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
create index idempotency_keys_age on idempotency_keys (counts_from);

-- What was answered, where it was not an accepted call.
create table idempotency_refusals (
  org_id     bigint not null,
  call_id    uuid not null,
  outcome    smallint not null,                          -- enum admit_outcome
  request_id text not null,                              -- is part of the answer
  primary key (org_id, call_id));
