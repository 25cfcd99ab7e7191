/* Binary parameters and binary results (PostgreSQL's send/receive formats, big-endian).
 * An array parameter is one dimension with lower bound 1, its length patched in at the
 * end: no quoting, no allocation per row. */
#include "pg.h"

#include <string.h>

#include "callgate/mem.h"

#define PG_EPOCH_US 946684800000000LL   /* 2000-01-01 in µs since 1970 */

void pg_args_done(struct pg_args *a)
{
	buf_done(&a->data);
	*a = (struct pg_args)PG_ARGS;
}

static void open_arg(struct pg_args *a)
{
	a->at[a->n] = a->data.len;
}

static void close_arg(struct pg_args *a)
{
	a->len[a->n] = (int)(a->data.len - a->at[a->n]);
	a->n++;
}

static void null_arg(struct pg_args *a)
{
	open_arg(a);
	a->len[a->n++] = -1;
}

void pg_arg_int8(struct pg_args *a, int64_t v)
{
	open_arg(a);
	buf_be64(&a->data, (uint64_t)v);
	close_arg(a);
}

void pg_arg_int4(struct pg_args *a, int32_t v)
{
	open_arg(a);
	buf_be32(&a->data, (uint32_t)v);
	close_arg(a);
}

void pg_arg_int2(struct pg_args *a, int16_t v)
{
	open_arg(a);
	buf_be16(&a->data, (uint16_t)v);
	close_arg(a);
}

void pg_arg_bool(struct pg_args *a, bool v)
{
	open_arg(a);
	buf_char(&a->data, v ? 1 : 0);
	close_arg(a);
}

void pg_arg_us(struct pg_args *a, int64_t utc_us)
{
	pg_arg_int8(a, utc_us - PG_EPOCH_US);
}

void pg_arg_bytes(struct pg_args *a, const void *p, size_t n)
{
	open_arg(a);
	buf_add(&a->data, p, n);
	close_arg(a);
}

void pg_arg_text(struct pg_args *a, const char *s)
{
	if (s)
		pg_arg_bytes(a, s, strlen(s));
	else
		null_arg(a);
}

void pg_arg_id(struct pg_args *a, const struct id *id)
{
	pg_arg_bytes(a, id->b, sizeof id->b);
}

void pg_arg_ms(struct pg_args *a, int64_t ms)
{
	if (ms)
		pg_arg_int8(a, ms * 1000 - PG_EPOCH_US);
	else
		null_arg(a);
}

void pg_arg_jsonb(struct pg_args *a, const char *json)
{
	if (!json) {
		null_arg(a);
		return;
	}
	open_arg(a);
	buf_char(&a->data, 1);          /* jsonb's version */
	buf_str(&a->data, json);
	close_arg(a);
}

/* ── arrays ───────────────────────────────────────────────────────────────────── */

void pg_array_begin(struct pg_args *a, Oid element)
{
	open_arg(a);
	buf_be32(&a->data, 1);          /* dimensions */
	buf_be32(&a->data, 1);          /* may hold nulls */
	buf_be32(&a->data, element);
	a->array_count_at = a->data.len;
	buf_be32(&a->data, 0);          /* length, patched by pg_array_end */
	buf_be32(&a->data, 1);          /* lower bound */
	a->array_n = 0;
}

void pg_array_end(struct pg_args *a)
{
	uint32_t n = (uint32_t)a->array_n;
	unsigned char be[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n };

	if (!a->data.over)
		memcpy(a->data.data + a->array_count_at, be, sizeof be);
	close_arg(a);
}

void pg_put_bytes(struct pg_args *a, const void *p, size_t n)
{
	buf_be32(&a->data, (uint32_t)n);
	buf_add(&a->data, p, n);
	a->array_n++;
}

void pg_put_int8(struct pg_args *a, int64_t v)
{
	buf_be32(&a->data, 8);
	buf_be64(&a->data, (uint64_t)v);
	a->array_n++;
}

void pg_put_int4(struct pg_args *a, int32_t v)
{
	buf_be32(&a->data, 4);
	buf_be32(&a->data, (uint32_t)v);
	a->array_n++;
}

void pg_put_int2(struct pg_args *a, int16_t v)
{
	buf_be32(&a->data, 2);
	buf_be16(&a->data, (uint16_t)v);
	a->array_n++;
}

void pg_put_bool(struct pg_args *a, bool v)
{
	buf_be32(&a->data, 1);
	buf_char(&a->data, v ? 1 : 0);
	a->array_n++;
}

void pg_put_text(struct pg_args *a, const char *s)
{
	if (s) {
		pg_put_bytes(a, s, strlen(s));
	} else {
		buf_be32(&a->data, UINT32_MAX);
		a->array_n++;
	}
}

void pg_put_id(struct pg_args *a, const struct id *id)
{
	pg_put_bytes(a, id->b, sizeof id->b);
}

void pg_put_ms(struct pg_args *a, int64_t ms)
{
	if (ms)
		pg_put_int8(a, ms * 1000 - PG_EPOCH_US);
	else
		pg_put_text(a, NULL);
}

/* ── results ──────────────────────────────────────────────────────────────────── */

static uint64_t get_be(const PGresult *r, int row, int col)
{
	const unsigned char *p = (const unsigned char *)PQgetvalue(r, row, col);
	uint64_t v = 0;
	int i, n = PQgetlength(r, row, col);

	for (i = 0; i < n && i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

bool pg_null(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col);
}

int64_t pg_get_int8(const PGresult *r, int row, int col)
{
	return (int64_t)get_be(r, row, col);
}

int32_t pg_get_int4(const PGresult *r, int row, int col)
{
	return (int32_t)(uint32_t)get_be(r, row, col);
}

int16_t pg_get_int2(const PGresult *r, int row, int col)
{
	return (int16_t)(uint16_t)get_be(r, row, col);
}

bool pg_get_bool(const PGresult *r, int row, int col)
{
	return get_be(r, row, col) != 0;
}

const char *pg_get_text(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? NULL : PQgetvalue(r, row, col);
}

char *pg_dup_text(const PGresult *r, int row, int col)
{
	const char *s = pg_get_text(r, row, col);

	return s ? xstrndup(s, (size_t)PQgetlength(r, row, col)) : NULL;
}

void pg_get_id(const PGresult *r, int row, int col, struct id *out)
{
	memset(out, 0, sizeof *out);
	if (PQgetlength(r, row, col) == (int)sizeof out->b)
		memcpy(out->b, PQgetvalue(r, row, col), sizeof out->b);
}

int64_t pg_get_us(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? 0 : pg_get_int8(r, row, col) + PG_EPOCH_US;
}

int64_t pg_get_ms(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? 0 : (pg_get_int8(r, row, col) + PG_EPOCH_US) / 1000;
}

void pg_clearp(PGresult **r)
{
	PQclear(*r);
	*r = NULL;
}
