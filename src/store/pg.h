/* Inside `store`: libpq made short. A connection that reconnects, statements prepared on
 * first use, binary parameters with arrays, binary results. SQLSTATEs end here. */
#ifndef STORE_PG_H
#define STORE_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/buf.h"
#include "callgate/err.h"
#include "callgate/id.h"
#include "callgate/mem.h"
#include "callgate/store.h"

#define OID_BOOL 16
#define OID_BYTEA 17
#define OID_INT8 20
#define OID_INT2 21
#define OID_INT4 23
#define OID_TEXT 25
#define OID_TIMESTAMPTZ 1184
#define OID_TIMESTAMPTZ 1184
#define OID_UUID 2950
#define OID_JSONB 3802
#define OID_BOOL_ARRAY 1000
#define OID_BYTEA_ARRAY 1001
#define OID_INT2_ARRAY 1005
#define OID_INT4_ARRAY 1007
#define OID_TEXT_ARRAY 1009
#define OID_INT8_ARRAY 1016
#define OID_TIMESTAMPTZ_ARRAY 1185
#define OID_UUID_ARRAY 2951

#define PG_PARAMS_MAX 24
#define PG_STATEMENTS_MAX 64

struct pg_statement;

struct store {
	PGconn  *pg;
	char    *url;
	char    *role;
	int64_t  clock_offset_ms;
	int64_t  retry_at_ms;           /* mono: no new attempt to connect before */
	unsigned session;               /* counts connections made */
	int      backend_pid;           /* of this connection, with its start in µs to be sure of it */
	int64_t  backend_start;
	int      ghost_pid;             /* of one that was lost with a statement under way; 0: none */
	int64_t  ghost_start;
	int      backoff_ms;
	int      answer_ms;             /* how long to wait for an answer before giving the connection up */
	const struct pg_statement *prepared[PG_STATEMENTS_MAX];      /* on this connection */
	int      n_prepared;
	bool     listening;
	char     sqlstate[6];           /* of the last failure; "" if it was the connection */
};

/* A statement known by name, prepared on the first use of each connection. Static and
 * constant: its address is its identity. */
struct pg_statement {
	const char *name;
	const char *sql;
	int         n_params;
	const Oid  *types;
};
#define PG_STATEMENT(name_, types_, sql_) { (name_), (sql_), (int)ARRAY_LEN(types_), (types_) }

/* "a = x and b = y", where x and y come from one other row source and (a, b) is an index,
 * spelt so that the only way to it is a probe of that index by both columns. Plain "=" can
 * be merged, so the planner also weighs reading the whole index in order; on a table that
 * is empty when the statement is planned (a new day's partition) that costs the same as
 * one probe and may win, and the plan then reads the table whole for every row, long after
 * it has filled. "= any" and a closed range cannot be merged, nor left out. */
#define PROBE(a, x, b, y) " " a " = any(array[" x "]) and " b " >= " y " and " b " <= " y " "

/* Parameters of one execution, built left to right: scalars, or arrays column by column. */
struct pg_args {
	struct buf data;
	int        n;
	size_t     at[PG_PARAMS_MAX];
	int        len[PG_PARAMS_MAX];          /* -1: null */
	size_t     array_count_at;              /* of the array being built */
	int        array_n;
};

/* A batch of 256 admissions with 16 KiB of variables each is 4 MiB. */
#define PG_ARGS_MAX_BYTES (32u << 20)

/* CLEANUP(pg_args_done) struct pg_args a = PG_ARGS; — from the declaration on, so that an
 * early return finds nothing to free. */
#define PG_ARGS { .data = { .max = PG_ARGS_MAX_BYTES } }
void pg_args_done(struct pg_args *a);

void pg_arg_int8(struct pg_args *a, int64_t v);
void pg_arg_int4(struct pg_args *a, int32_t v);
void pg_arg_int2(struct pg_args *a, int16_t v);
void pg_arg_bool(struct pg_args *a, bool v);
void pg_arg_text(struct pg_args *a, const char *s);             /* NULL: null */
void pg_arg_us(struct pg_args *a, int64_t utc_us);             /* a timestamptz */
void pg_arg_bytes(struct pg_args *a, const void *p, size_t n);
void pg_arg_id(struct pg_args *a, const struct id *id);
void pg_arg_ms(struct pg_args *a, int64_t ms);                 /* timestamptz from UTC ms; 0: null */
void pg_arg_jsonb(struct pg_args *a, const char *json);         /* NULL: null */

/* pg_array_begin(&a, OID_INT8); for … pg_put_int8(&a, v); pg_array_end(&a); */
void pg_array_begin(struct pg_args *a, Oid element);
void pg_array_end(struct pg_args *a);
void pg_put_int8(struct pg_args *a, int64_t v);
void pg_put_int4(struct pg_args *a, int32_t v);
void pg_put_int2(struct pg_args *a, int16_t v);
void pg_put_bool(struct pg_args *a, bool v);
void pg_put_text(struct pg_args *a, const char *s);             /* NULL: null element */
void pg_put_bytes(struct pg_args *a, const void *p, size_t n);
void pg_put_id(struct pg_args *a, const struct id *id);
void pg_put_ms(struct pg_args *a, int64_t ms);          /* timestamptz from UTC ms; 0: null element */

/* Runs a prepared statement; connects and prepares if need be; *out (may be NULL) is the
 * caller's to PQclear on OK. ERR_UNAVAILABLE / ERR_UNCERTAIN / ERR_INTERNAL as in store.h;
 * ERR_CONFLICT for serialization failures and deadlocks (nothing was done: repeat);
 * ERR_INVALID for a broken constraint (SQLSTATE class 23: s->sqlstate tells which). */
enum err pg_run(struct store *s, const struct pg_statement *st, struct pg_args *a, PGresult **out, struct errinfo *e) MUST_USE;
/* The same for what only reads, and may therefore be repeated, once: nothing is uncertain. */
enum err pg_run_read(struct store *s, const struct pg_statement *st, struct pg_args *a, PGresult **out,
                     struct errinfo *e) MUST_USE;
/* Statements may take and wait so long (a migration); 0: as usual again. */
void pg_patience(struct store *s, int seconds);

/* Plain SQL without parameters, possibly several statements (migrations, BEGIN, SET). */
enum err pg_exec(struct store *s, const char *sql, PGresult **out, struct errinfo *e) MUST_USE;

/* One array argument from a loop over i (declared by the caller, size_t). */
#define PG_COLUMN(args, oid, count, put) do { \
	pg_array_begin((args), (oid)); \
	for (i = 0; i < (count); i++) \
		put; \
	pg_array_end(args); \
} while (0)

/* Binary results. A NULL reads as 0, false, NULL; the *_or give a default. */
bool        pg_null(const PGresult *r, int row, int col);
int64_t     pg_get_int8(const PGresult *r, int row, int col);
int32_t     pg_get_int4(const PGresult *r, int row, int col);
int16_t     pg_get_int2(const PGresult *r, int row, int col);
bool        pg_get_bool(const PGresult *r, int row, int col);
const char *pg_get_text(const PGresult *r, int row, int col);   /* borrowed from r; NULL if null */
char       *pg_dup_text(const PGresult *r, int row, int col);   /* malloc'ed; NULL if null */
void        pg_get_id(const PGresult *r, int row, int col, struct id *out);
int64_t     pg_get_ms(const PGresult *r, int row, int col);     /* timestamptz as UTC ms; 0 if null */
int64_t     pg_get_us(const PGresult *r, int row, int col);     /* the same as UTC µs */

void pg_clearp(PGresult **r);   /* CLEANUP(pg_clearp) PGresult *r = NULL; */

#endif
