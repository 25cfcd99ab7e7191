/* Inside `store`: what keeps a lane's calls from ever being dialed, until somebody changes it. */
#ifndef STORE_BLOCKED_H
#define STORE_BLOCKED_H

#include "callgate/store_read.h"

/* An enum call_wait: WAIT_NONE, WAIT_TRUNK or WAIT_CAPACITY, as the scheduler takes the same
 * columns (store_limits_load, fair.c). Trunk 0 is the test keys', which is never switched off.
 * A probe each of trunks_pkey, projects_pkey, organizations_pkey, none of which a plan may
 * turn into anything else. */
#define BLOCKED_SQL(org, project, trunk) \
	"coalesce(case when " trunk " <> 0 then (select case when not b.enabled then 5" \
	" when b.cps_milli = 0 or b.max_concurrent = 0 then 6 end from trunks b" \
	" where b.org_id = " org " and b.trunk_id = " trunk " limit 1) end," \
	" (select case when b.cps_milli = 0 or b.max_concurrent = 0 then 6 end from projects b" \
	" where b.org_id = " org " and b.project_id = " project " limit 1)," \
	" (select case when b.cps_milli = 0 or b.max_concurrent = 0 then 6 end from organizations b" \
	" where b.org_id = " org " limit 1), 0)"

_Static_assert(WAIT_NONE == 0 && WAIT_TRUNK == 5 && WAIT_CAPACITY == 6, "the statements write these numbers");

#endif
