/* Inside `store`: what several of the scheduler's statements share. */
#ifndef STORE_FLIGHT_H
#define STORE_FLIGHT_H

#include "callgate/store_dispatch.h"
#include "pg.h"

/* Nothing behind this CTE happens unless gateway $1 holds its lease. KEY SHARE conflicts
 * with the delete of whoever takes over and with nothing the owner does. */
#define FENCE_SQL \
	"fence as materialized (select gateway_id from gateways" \
	" where gateway_id = $1 and expires_at > clock_timestamp() for key share)"

/* What a call takes along when it is followed: the columns that read_inflight() expects,
 * given f (call_inflight), c (calls), t (trunks; missing for test calls), pj (projects).
 * Earlier attempts are counted only where there were any. */
#define INFLIGHT_COLUMNS \
	"f.org_id, f.project_id, f.trunk_id, f.prio, f.call_id, f.attempt, f.state, f.phase," \
	" c.ring_timeout_s, c.max_duration_s," \
	" (extract(epoch from f.deadline_at - clock_timestamp()) * 1000)::bigint," \
	" coalesce((extract(epoch from clock_timestamp() - f.initiated_at) * 1000)::bigint, -1)," \
	" c.from_e164, c.to_e164, c.variables, f.agent," \
	" case when f.trunk_id = 0 then 'simulator' else coalesce(t.driver, '') end," \
	" t.provider_ref, coalesce(t.config::text, '{}'), f.provider_ref," \
	" case when f.attempt = 1 then 0 else (select count(*) from call_events v where" \
	"   v.org_id = f.org_id and v.call_id = f.call_id and v.kind = 32 and not v.data ? 'undialed') end::int," \
	" coalesce(pj.wait_for_agent_s, 0)," \
	" (extract(epoch from c.expires_at - clock_timestamp()) * 1000)::bigint," \
	" (extract(epoch from clock_timestamp() - greatest(c.created_at, c.scheduled_at)) * 1000)::bigint," \
	" f.cancel_at is not null"

#define INFLIGHT_JOINS \
	" join calls c on" PROBE("c.org_id", "f.org_id", "c.call_id", "f.call_id") \
	" left join trunks t on" PROBE("t.org_id", "f.org_id", "t.trunk_id", "f.trunk_id") \
	" left join projects pj on" PROBE("pj.org_id", "f.org_id", "pj.project_id", "f.project_id")

void read_inflight(const PGresult *r, int row, struct inflight *out);
struct inflight *read_inflights(const PGresult *r, size_t *n);

/* Columns org_id, project_id, trunk_id, prio. */
struct lane_key *read_lanes(const PGresult *r, size_t *n);

/* Arguments org_id[], call_id[], attempt[] of n calls that stand `stride` bytes apart. */
void put_refs(struct pg_args *a, const struct call_ref *first, size_t stride, size_t n);

#endif
