/* See keys_used.h. */
#include "keys_used.h"

#include "callgate/log.h"
#include "pg.h"

/* api_keys_pkey; last_used_on is in no index, so the update is HOT. */
static const Oid used_types[] = { OID_INT8, OID_BYTEA };
static const struct pg_statement used_statement = PG_STATEMENT("key_used", used_types,
	"update api_keys set last_used_on = current_date"
	" where org_id = $1 and key_hash = $2 and last_used_on is distinct from current_date");

void keys_used_today(struct store *s, int64_t org_id, const uint8_t hash[SHA256_SIZE])
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	struct errinfo e;

	pg_arg_int8(&a, org_id);
	pg_arg_bytes(&a, hash, SHA256_SIZE);
	if (pg_run(s, &used_statement, &a, NULL, &e))
		LOG_DEBUG("key.used_not_noted", LOG_STR("error", e.text));
}
