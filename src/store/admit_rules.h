/* Inside `store`: the rules of admission as SQL, for the statement that admits and for the
 * one that only asks. What key, project and caller number decide is one row, a "context".
 *
 * Look-ups whose key comes from several tables are subqueries with a limit, not joins or
 * EXISTS: those the planner may turn around or hash while the tables are small, and then
 * reads them whole when they no longer are. */
#ifndef STORE_ADMIT_RULES_H
#define STORE_ADMIT_RULES_H

#include "callgate/store_calls.h"
#include "pg.h"

/* Given c(o, h, pj, f, ring, maxd, prio): organization, key's hash, project, caller number, and
 * what the request asks for instead of the project's (0: nothing). Gives k (the key), p (the
 * project), m (membership), n (the number), t (its trunk): one probe each of api_keys_pkey,
 * projects_org_id_public_id_key, project_members_pkey, phone_numbers_pkey, trunks_pkey. */
#define CONTEXT_ARGS "$1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::int[], $6::int[], $7::smallint[]"
#define CONTEXT_TYPES \
	OID_INT8_ARRAY, OID_BYTEA_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY, OID_INT4_ARRAY, OID_INT4_ARRAY, OID_INT2_ARRAY
#define CONTEXT_SQL \
	"unnest(" CONTEXT_ARGS ") with ordinality c(o, h, pj, f, ring, maxd, prio, ix)" \
	"  left join api_keys k on" PROBE("k.org_id", "c.o", "k.key_hash", "c.h") "and k.revoked_at is null" \
	"       and (k.expires_at is null or k.expires_at > now())" \
	"  left join projects p on" PROBE("p.org_id", "c.o", "p.public_id", "c.pj") \
	"  left join lateral (select user_id from project_members m where m.org_id = c.o and m.project_id = p.project_id" \
	"                       and m.user_id = k.user_id limit 1) m on true" \
	"  left join phone_numbers n on" PROBE("n.org_id", "c.o", "n.e164", "c.f") \
	"  left join lateral (select t.* from trunks t where t.org_id = c.o and t.trunk_id = n.trunk_id limit 1) t on true"

/* What says no, in its order, each a condition and the number of its outcome. A rule takes
 * for granted that those before it do not hold. pool_members_pkey + pool_numbers_pkey. */
#define REFUSED_KEY      "k.user_id is null then 1"
#define REFUSED_PROJECT  "m.user_id is null then 3"
#define REFUSED_LENGTH   "c.maxd > p.max_duration_s then 10"
#define REFUSED_NUMBER   "n.e164 is null then 4"
#define REFUSED_POOL \
	"(select 1 from pool_members pm, pool_numbers pn where pm.org_id = c.o and pm.user_id = k.user_id" \
	" and pn.org_id = c.o and pn.e164 = c.f and pn.pool_id = pm.pool_id limit 1) is null then 5"
#define REFUSED_INACTIVE "n.status <> 'active' then 6"
#define REFUSED_TRUNK    "(n.trunk_id is null or not n.outbound) then 7"
#define REFUSED_CREDITS  "(a.free_mc <= 0 or i.hold_mc > a.free_mc) then 8"
#define REFUSED_BUSY     "i.taken then 9"

_Static_assert(ADMIT_ACCEPTED == 0 && ADMIT_KEY_UNKNOWN == 1 && ADMIT_BODY_INVALID == 2 && ADMIT_PROJECT_DENIED == 3 &&
               ADMIT_NUMBER_UNKNOWN == 4 && ADMIT_POOL_DENIED == 5 && ADMIT_NUMBER_INACTIVE == 6 &&
               ADMIT_NO_TRUNK == 7 && ADMIT_NO_CREDITS == 8 && ADMIT_BUSY == 9 && ADMIT_TOO_LONG == 10,
               "the statements write these numbers");

/* Whether a call that is due waits for its destination: call_schedule_line, which is empty most of the time. Without
 * this, whoever asks often enough gets it each time it becomes free, and the one that waits never does. */
#define WAITED_FOR_SQL(dest, scope) "(select true from call_schedule w where w.dest = " dest " and w.scope = " scope " limit 1)"
/* Whether somebody is being called, or is about to be: destination_locks_pkey. */
#define TAKEN_SQL(dest, scope) \
	"coalesce((select true from destination_locks l where l.dest = " dest " and l.scope = " scope " limit 1), " \
	WAITED_FOR_SQL(dest, scope) ")"
/* With which other calls to its destination a call of context c may not meet; `per_org`: a setting. */
#define SCOPE_SQL(per_org) "case when k.test then -c.o when " per_org " then c.o else 0 end as scope"

/* A call's bounds and price, as far as its context decides them. A test key's costs nothing. */
#define BOUND_S "case when c.maxd > 0 then least(c.maxd, p.max_duration_s) else p.max_duration_s end"
#define CONTEXT_PRICE_SQL \
	"case when c.ring > 0 then c.ring else p.ring_timeout_s end as ring_timeout_s," \
	" " BOUND_S " as max_duration_s, least(p.hold_s, " BOUND_S ") as hold_s," \
	" case when k.test then 0 else p.rate_mc end as rate_mc," \
	" case when k.test then 1 else p.increment_s end as increment_s," \
	" case when k.test then 1 else p.minimum_s end as minimum_s," \
	" case when k.test then 0 else " HOLD_SQL("p.rate_mc", "p.increment_s", "p.minimum_s", "least(p.hold_s, " BOUND_S ")") \
	" end as hold_mc," \
	" case when not k.test then (select length(r.prefix) from rates r where r.org_id = c.o order by length(r.prefix) desc limit 1)" \
	" end as longest"

/* What a call of so many seconds costs, as it is settled (SETTLE_SQL in end.c); a project that
 * holds for no second holds nothing. */
#define HOLD_SQL(rate, increment, minimum, seconds) \
	"case when " seconds " = 0 then 0 else (" rate " * greatest(" minimum ", (" seconds " + " increment " - 1)" \
	" / " increment " * " increment ") + 59) / 60 end"

/* What the longest prefix of `dest` says that organization `org` has a rate for: rate, increment,
 * minimum, hold for `seconds`, length of the prefix; null if there is none. One probe of rates_pkey
 * for each length, from `longest` on (the organization's, by rates_longest; it decides what a look-up
 * costs), in the order in which a nested loop (there is no other way for a lateral with a limit)
 * takes them. "prefix = any(…) order by prefix desc" was carried out by reading the organization's
 * rates backwards. */
#define RATE_SQL(longest, org, dest, seconds) \
	"case when " longest " is not null then (select array[r.rate_mc, r.increment_s, r.minimum_s, " \
	HOLD_SQL("r.rate_mc", "r.increment_s", "r.minimum_s", seconds) ", n.n]" \
	" from generate_series(least(" longest ", length(" dest ")), 1, -1) n(n)" \
	" cross join lateral (select r.rate_mc, r.increment_s, r.minimum_s from rates r where r.org_id = " org \
	" and r.prefix = left(" dest ", n.n) limit 1) r limit 1) end"

#endif
