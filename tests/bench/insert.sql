\set i :i + 1
\set n :base + :i * 1000 + :client_id
insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s, rate_mc, hold_mc, lock_scope, from_e164, to_e164, variables, request_id) values (1, ('@PREFIX@' || :n)::uuid, 1, 1, 1, '00000000-0000-4000-8000-000000000001', 60, 600, 600, 600, 0, '+14155550199', '+491234567801234', '{"customerName":"Jane Doe","appointment":"2026-11-20T10:30:00Z","reason":"follow-up"}', '01890a5d-ac96-774b-bcce-b302099a8057');
