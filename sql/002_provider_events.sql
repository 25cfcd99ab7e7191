-- What providers tell us of their own accord (webhooks): stored before it is answered, once per event id, and applied by
-- the scheduler of whoever follows the call. A hint, never the only source: a provider may lose any of them.
create table provider_events (
  org_id      bigint not null,
  call_id     uuid not null,
  event_id    text collate "C" not null,                 -- the provider's own id of the event
  attempt     smallint not null,
  provider    text collate "C" not null,
  received_at timestamptz not null default clock_timestamp(),
  applied_at  timestamptz,
  body        text not null,
  primary key (org_id, call_id, event_id))
  with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- What waits to be applied; a row leaves this index when it is.
create index provider_events_waiting on provider_events (received_at) where applied_at is null;
