-- callgate's schema, first version.
--
-- Shape. The call tables are split by heat, and a row is moved (delete + insert), never flagged, so that each index holds
-- only the rows its reader wants: calls (wide, written at accept and at the end) · call_queue (narrow, ready now) ·
-- call_schedule (later) · call_inflight (claimed or live) · call_events (append-only) · destination_locks.
-- The tenant key leads every primary key. No foreign keys on the hot tables: their row locks meet on hot parents.
-- Money is milli-cents in bigint. Enumerations are small integers with the meaning in include/callgate/call.h.
-- Codes and numbers compare as bytes (collate "C").

-- The smallest UUIDv7 of an instant: partition bounds and "older than" questions.
create function uuid7_floor(t timestamptz) returns uuid language sql immutable parallel safe as $$
  select (lpad(to_hex(floor(extract(epoch from t) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- ── who ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

create table organizations (
  org_id         bigint generated always as identity primary key,
  public_id      uuid not null default gen_random_uuid() unique,
  name           text collate "C" not null unique,
  weight         smallint not null default 1 check (weight between 1 and 1000),
  max_concurrent int check (max_concurrent >= 0),        -- null: no limit of its own
  cps_milli      int check (cps_milli >= 0),             -- calls per 1000 seconds; null: no limit of its own
  burst          int not null default 1 check (burst >= 1),
  created_at     timestamptz not null default now());

create table users (
  user_id    uuid primary key default gen_random_uuid(),
  email      text collate "C" not null unique,           -- lower case
  created_at timestamptz not null default now());

create table memberships (
  org_id     bigint not null references organizations,
  user_id    uuid not null references users,
  role       text collate "C" not null default 'member' check (role in ('owner', 'admin', 'member')),
  created_at timestamptz not null default now(),         -- the oldest membership is a user's first organization
  primary key (org_id, user_id));

-- The key's text carries the organization, so a look-up is one probe of this primary key.
create table api_keys (
  org_id       bigint not null references organizations,
  key_hash     bytea not null,                           -- SHA-256 of the whole key
  key_id       uuid not null default gen_random_uuid(),
  user_id      uuid not null references users,
  kind         smallint not null,                        -- enum key_kind
  test         boolean not null,
  hint         text not null,                            -- "dk_…x7Qa"
  name         text not null default '',
  created_at   timestamptz not null default now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_on date,                                     -- a date, so at most one update per key and day
  primary key (org_id, key_hash),
  unique (org_id, key_id)) with (fillfactor = 80);

-- ── with what ───────────────────────────────────────────────────────────────────────────────────────────────────────

create table credit_accounts (
  org_id     bigint not null references organizations,
  account_id int not null,
  name       text collate "C" not null,
  balance_mc bigint not null default 0,                  -- = sum of the ledger
  held_mc    bigint not null default 0 check (held_mc >= 0),   -- = sum of the holds of calls that are not final
  primary key (org_id, account_id),
  unique (org_id, name)) with (fillfactor = 10);         -- one hot row a page: its updates stay HOT

create table credit_ledger (
  org_id     bigint not null,
  entry_id   bigint generated always as identity,
  account_id int not null,
  kind       smallint not null,                          -- 1 top-up, 2 call, 3 correction
  amount_mc  bigint not null,                            -- signed: a call's is negative
  call_id    uuid,
  at         timestamptz not null default clock_timestamp(),
  note       text,
  primary key (org_id, entry_id));

create table trunks (
  org_id         bigint not null references organizations,
  trunk_id       int not null check (trunk_id > 0),      -- 0 is the simulator of every organization's test keys
  name           text collate "C" not null,
  driver         text collate "C" not null,              -- a provider driver: 'simulator', …
  provider_ref   text,                                   -- the provider's own name of it, e.g. a LiveKit ST_…
  config         jsonb not null default '{}',
  cps_milli      int not null default 1000 check (cps_milli >= 0),
  burst          int not null default 1 check (burst >= 1),
  max_concurrent int not null default 10 check (max_concurrent >= 0),
  enabled        boolean not null default true,
  primary key (org_id, trunk_id),
  unique (org_id, name));

create table projects (
  org_id         bigint not null references organizations,
  project_id     int not null,
  public_id      text collate "C" not null,              -- what clients send, "proj_demo"
  name           text not null,
  agent          text not null,                          -- the one agent of the project
  account_id     int not null,
  rate_mc        bigint not null default 0 check (rate_mc between 0 and 1000000000),    -- per minute
  hold_s         int check (hold_s between 0 and 86400), -- seconds held at accept; null: the maximum duration
  ring_timeout_s smallint not null default 60 check (ring_timeout_s between 5 and 80),
  max_duration_s int not null default 3600 check (max_duration_s between 1 and 86400),
  weight         smallint not null default 1 check (weight between 1 and 1000),
  max_concurrent int check (max_concurrent >= 0),
  cps_milli      int check (cps_milli >= 0),
  burst          int not null default 1 check (burst >= 1),
  primary key (org_id, project_id),
  unique (org_id, public_id),
  foreign key (org_id, account_id) references credit_accounts);

create table project_members (
  org_id bigint not null, project_id int not null, user_id uuid not null,
  primary key (org_id, project_id, user_id),
  foreign key (org_id, project_id) references projects,
  foreign key (org_id, user_id) references memberships);

create table phone_numbers (
  org_id   bigint not null references organizations,
  e164     text collate "C" not null,
  status   text collate "C" not null default 'active' check (status in ('active', 'inactive', 'suspended', 'released')),
  outbound boolean not null default true,
  trunk_id int,
  primary key (org_id, e164),
  foreign key (org_id, trunk_id) references trunks);

create table number_pools (
  org_id bigint not null references organizations, pool_id int not null, name text collate "C" not null,
  primary key (org_id, pool_id), unique (org_id, name));

create table pool_members (
  org_id bigint not null, user_id uuid not null, pool_id int not null,
  primary key (org_id, user_id, pool_id),
  foreign key (org_id, pool_id) references number_pools,
  foreign key (org_id, user_id) references memberships);

create table pool_numbers (
  org_id bigint not null, e164 text collate "C" not null, pool_id int not null,
  primary key (org_id, e164, pool_id),
  foreign key (org_id, pool_id) references number_pools,
  foreign key (org_id, e164) references phone_numbers);

-- ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────────

-- No index names a column that changes, so the one update at the end stays HOT.
create table calls (
  org_id         bigint not null,
  call_id        uuid not null,                          -- UUIDv7, minted by the gateway
  project_id     int not null,
  trunk_id       int not null,                           -- 0: a test key's call
  account_id     int not null,
  user_id        uuid not null,
  ring_timeout_s smallint not null,
  max_duration_s int not null,
  rate_mc        bigint not null,
  hold_mc        bigint not null,
  lock_scope     bigint not null,                        -- destination_locks.scope
  from_e164      text collate "C" not null,
  to_e164        text collate "C" not null,
  variables      text,                                   -- JSON exactly as sent, without white space; null: none sent
  request_id     text not null,
  created_at     timestamptz not null default clock_timestamp(),
  state          smallint not null default 0,
  reason         smallint not null default 0,
  attempts       smallint not null default 0,
  sip_code       smallint,
  sip_phrase     text,
  provider_code  text,
  provider_ref   text,
  agent          text,                                   -- who handled it: the project's agent at dispatch
  initiated_at   timestamptz,
  ringing_at     timestamptz,
  answered_at    timestamptz,
  ended_at       timestamptz,
  billed_s       int,
  charged_mc     bigint,
  primary key (org_id, call_id)) partition by range (call_id);

-- seq = attempt * 16 + step, so a repeated batch cannot write an event twice.
create table call_events (
  org_id  bigint not null,
  call_id uuid not null,
  seq     smallint not null,
  kind    smallint not null,                             -- enum call_state, or 32 retry, 33 uncertain
  at      timestamptz not null default clock_timestamp(),
  data    jsonb,
  primary key (org_id, call_id, seq)) partition by range (call_id);

create table call_queue (
  org_id     bigint not null,
  project_id int not null,
  trunk_id   int not null,
  prio       smallint not null,
  call_id    uuid not null,
  attempt    smallint not null,                          -- the attempt it waits for, 1 for the first
  primary key (org_id, project_id, trunk_id, prio, call_id))
  with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

create table call_schedule (
  org_id     bigint not null,
  call_id    uuid not null,
  shard      smallint not null,
  run_at     timestamptz not null,
  project_id int not null,
  trunk_id   int not null,
  prio       smallint not null,
  attempt    smallint not null,
  primary key (org_id, call_id))
  with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index call_schedule_due on call_schedule (shard, run_at);

create table call_inflight (
  org_id       bigint not null,
  call_id      uuid not null,
  gateway_id   bigint not null,                          -- who dials and follows it; the fence of every step
  project_id   int not null,
  trunk_id     int not null,
  prio         smallint not null,
  attempt      smallint not null,
  state        smallint not null default 0,              -- enum call_state
  phase        smallint not null default 0,              -- 0 claimed, 1 intent committed, 2 uncertain, 3 provider has it
  deadline_at  timestamptz not null,                     -- the published bound; set once, at claim
  agent        text not null,
  provider_ref text,
  initiated_at timestamptz,
  ringing_at   timestamptz,
  answered_at  timestamptz,
  primary key (org_id, call_id))
  with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
create index call_inflight_by_gateway on call_inflight (gateway_id, deadline_at);

-- A destination is locked from accept to the final outcome. scope 0: gateway-wide; an organization's number: within it
-- (a setting); its negative: test keys, which ring nobody and so block nobody else.
create table destination_locks (
  dest    text collate "C" not null,
  scope   bigint not null,
  org_id  bigint not null,
  call_id uuid not null,
  primary key (dest, scope))
  with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

-- ── who works ───────────────────────────────────────────────────────────────────────────────────────────────────────

-- One row per running gateway: its lease. A row that was taken over is gone and cannot be renewed, so gateway_id is the
-- epoch of everything that is fenced by it.
create table gateways (
  gateway_id bigint generated always as identity primary key,
  name       text not null,
  version    text not null,
  started_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null) with (fillfactor = 10);

-- Organizations fall into 64 shards by org_id % 64; whoever owns a shard claims its calls and alone counts its pace.
create table shards (
  shard      smallint primary key,
  gateway_id bigint,
  epoch      bigint not null default 0) with (fillfactor = 10);
insert into shards (shard) select generate_series(0, 63);

-- Partitions of a day, from `back` days ago to `ahead` days from now; creates what is missing, says how many.
create function ensure_partitions(back int, ahead int) returns int language plpgsql as $$
declare
  day date; parent text; part text; made int := 0;
begin
  -- Two gateways must not create the same day at once; who comes second finds it there.
  perform pg_advisory_xact_lock(hashtextextended('callgate.partitions', 0));
  for day in select generate_series(current_date - back, current_date + ahead, interval '1 day')::date loop
    foreach parent in array array['calls', 'call_events'] loop
      part := parent || '_p' || to_char(day, 'YYYYMMDD');
      if to_regclass(part) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L) %s', part, parent,
          uuid7_floor(day::timestamp at time zone 'UTC'), uuid7_floor((day + 1)::timestamp at time zone 'UTC'),
          case parent when 'calls' then 'with (fillfactor = 80)' else '' end);
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end $$;

-- Drops the oldest day's partition of one table that ended more than `keep_days` ago and holds no call that is not final;
-- says whether there was one. One a transaction: dropping locks the parent against everything, and admissions lock both
-- parents. Under a short wait: if a long reader is in the way, the next hour will do.
create function drop_old_partition(keep_days int) returns boolean language plpgsql as $$
declare
  part record; day date;
begin
  perform pg_advisory_xact_lock(hashtextextended('callgate.partitions', 0));
  perform set_config('lock_timeout', '300ms', true);
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent in ('calls'::regclass, 'call_events'::regclass) order by right(c.relname, 8), 1
  loop
    day := to_date(right(part.relname, 8), 'YYYYMMDD');
    exit when day >= current_date - keep_days;
    -- Whatever is still on its way stands in one of three small tables, under its id.
    continue when exists (select from call_inflight where call_id >= uuid7_floor(day::timestamp at time zone 'UTC')
                            and call_id < uuid7_floor((day + 1)::timestamp at time zone 'UTC'))
               or exists (select from call_queue where call_id >= uuid7_floor(day::timestamp at time zone 'UTC')
                            and call_id < uuid7_floor((day + 1)::timestamp at time zone 'UTC'))
               or exists (select from call_schedule where call_id >= uuid7_floor(day::timestamp at time zone 'UTC')
                            and call_id < uuid7_floor((day + 1)::timestamp at time zone 'UTC'));
    execute format('drop table %I', part.relname);
    return true;
  end loop;
  return false;
exception when lock_not_available or deadlock_detected then
  return false;
end $$;
