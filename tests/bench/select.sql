\set n :base + random(1, :calls)
select * from calls where org_id = 1 and call_id = ('@PREFIX@' || :n)::uuid;
