-- How long a call of the project waits for its agent before a phone is dialed; 0: not at all. A trunk may ask for it too,
-- and then the longer wait counts.
alter table projects add column wait_for_agent_s smallint not null default 0 check (wait_for_agent_s between 0 and 300);
