/* See flight.h. */
#include "flight.h"

#include <stdlib.h>
#include <string.h>

#include "callgate/text.h"

void inflight_done(struct inflight *f)
{
	free(f->variables);
	free(f->agent);
	free(f->driver);
	free(f->trunk_ref);
	free(f->trunk_config);
	free(f->provider_ref);
	memset(f, 0, sizeof *f);
}

void inflight_free_all(struct inflight *f, size_t n)
{
	size_t i;

	for (i = 0; f && i < n; i++)
		inflight_done(&f[i]);
	free(f);
}

static struct lane_key read_lane(const PGresult *r, int row)
{
	return (struct lane_key){ pg_get_int8(r, row, 0), pg_get_int4(r, row, 1), pg_get_int4(r, row, 2),
	                          pg_get_int2(r, row, 3) };
}

struct lane_key *read_lanes(const PGresult *r, size_t *n)
{
	struct lane_key *lanes;
	int i;

	*n = (size_t)PQntuples(r);
	lanes = xcalloc(*n + 1, sizeof *lanes);
	for (i = 0; i < PQntuples(r); i++)
		lanes[i] = read_lane(r, i);
	return lanes;
}

void read_inflight(const PGresult *r, int row, struct inflight *out)
{
	memset(out, 0, sizeof *out);
	out->lane = read_lane(r, row);
	pg_get_id(r, row, 4, &out->call_id);
	out->attempt = pg_get_int2(r, row, 5);
	out->state = (enum call_state)pg_get_int2(r, row, 6);
	out->phase = pg_get_int2(r, row, 7);
	out->ring_timeout_s = pg_get_int2(r, row, 8);
	out->max_duration_s = pg_get_int4(r, row, 9);
	out->left_ms = pg_get_int8(r, row, 10);
	out->since_ms = pg_get_int8(r, row, 11);
	str_copy(out->from, sizeof out->from, pg_get_text(r, row, 12));
	str_copy(out->to, sizeof out->to, pg_get_text(r, row, 13));
	out->variables = pg_dup_text(r, row, 14);
	out->agent = pg_dup_text(r, row, 15);
	out->driver = pg_dup_text(r, row, 16);
	out->trunk_ref = pg_dup_text(r, row, 17);
	out->trunk_config = pg_dup_text(r, row, 18);
	out->provider_ref = pg_dup_text(r, row, 19);
	out->spent = pg_get_int4(r, row, 20);
	out->wait_for_agent_s = pg_get_int2(r, row, 21);
	out->expires_ms = pg_null(r, row, 22) ? INT64_MAX : pg_get_int8(r, row, 22);
	out->waited_ms = pg_get_int8(r, row, 23);
	out->cancel = pg_get_bool(r, row, 24);
}

struct inflight *read_inflights(const PGresult *r, size_t *n)
{
	struct inflight *out;
	int i;

	*n = (size_t)PQntuples(r);
	out = xcalloc(*n + 1, sizeof *out);
	for (i = 0; i < PQntuples(r); i++)
		read_inflight(r, i, &out[i]);
	return out;
}

static const struct call_ref *nth(const struct call_ref *first, size_t stride, size_t i)
{
	return (const struct call_ref *)(const void *)((const char *)first + i * stride);
}

void put_refs(struct pg_args *a, const struct call_ref *first, size_t stride, size_t n)
{
	size_t i;

	PG_COLUMN(a, OID_INT8, n, pg_put_int8(a, nth(first, stride, i)->org_id));
	PG_COLUMN(a, OID_UUID, n, pg_put_id(a, &nth(first, stride, i)->call_id));
	PG_COLUMN(a, OID_INT2, n, pg_put_int2(a, (int16_t)nth(first, stride, i)->attempt));
}
