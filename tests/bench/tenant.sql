-- One tenant that is never short of money, number or trunk, so that every request passes all
-- checks and is written; 49 more like it, for the lanes of the claim and for references that
-- must not wait for one another at one account. The key's text is in bench.h.
insert into organizations (org_id, name) overriding system value
  select g, 'bench ' || g from generate_series(1, 50) g;
insert into users (user_id, email) values ('00000000-0000-4000-8000-000000000001', 'bench@example.org');
insert into memberships (org_id, user_id)
  select g, '00000000-0000-4000-8000-000000000001' from generate_series(1, 50) g;
insert into api_keys (org_id, key_hash, user_id, kind, test, hint, last_used_on)
  select g, sha256('dk_1_benchbenchbenchbenchbenchbenchbenchbench'), '00000000-0000-4000-8000-000000000001',
         0, false, 'dk_', current_date from generate_series(1, 50) g;
insert into credit_accounts (org_id, account_id, name, balance_mc)
  select g, 1, 'main', 4000000000000000 from generate_series(1, 50) g;
insert into credit_ledger (org_id, account_id, kind, amount_mc)
  select g, 1, 1, 4000000000000000 from generate_series(1, 50) g;
insert into trunks (org_id, trunk_id, name, driver, cps_milli, burst, max_concurrent)
  select g, 1, 'simulator', 'simulator', 2000000000, 1000000, 1000000 from generate_series(1, 50) g;
insert into projects (org_id, project_id, public_id, name, agent, account_id, rate_mc, hold_s, ring_timeout_s, max_duration_s)
  select g, 1, 'proj_bench', 'Bench', 'bench-agent', 1, 600, 60, 60, 600 from generate_series(1, 50) g;
insert into project_members
  select g, 1, '00000000-0000-4000-8000-000000000001' from generate_series(1, 50) g;
insert into phone_numbers (org_id, e164, trunk_id) select g, '+14155550199', 1 from generate_series(1, 50) g;
insert into number_pools select g, 1, 'main' from generate_series(1, 50) g;
insert into pool_members select g, '00000000-0000-4000-8000-000000000001', 1 from generate_series(1, 50) g;
insert into pool_numbers select g, '+14155550199', 1 from generate_series(1, 50) g;
