/* GET /healthz: the process serves. GET /readyz: it can also do its work. Both answer at
 * once on the I/O thread, so that a busy or absent database does not make a probe hang.
 * What exactly is wrong stands in the log: these routes ask for no key. */
#include "callgate/jsonw.h"
#include "handlers.h"

static void reply_json(struct http_request *rq, int status, struct buf *b)
{
	struct http_reply r = { .status = status };

	r.body = buf_take(b, &r.body_len);
	http_reply_header(&r, "Cache-Control", "no-store");
	http_reply(rq, &r);
}

void health_live(struct api *a, struct http_request *rq, const struct route_args *args)
{
	struct buf b;

	(void)a;
	(void)args;
	buf_init(&b, 64);
	JSONW_LIT(&b, "{\"status\":\"ok\"}");
	reply_json(rq, 200, &b);
}

static const char *status_name(const struct api *a, const struct api_readiness *now)
{
	if (atomic_load(&a->quiet))
		return "shutting_down";
	return now->ready ? "ready" : "not_ready";
}

void health_ready(struct api *a, struct http_request *rq, const struct route_args *args)
{
	struct api_readiness now = { .ready = false };
	bool ready;
	struct buf b;

	(void)args;
	a->hooks.readiness(a->hooks.arg, &now);
	ready = now.ready && !atomic_load(&a->quiet);
	buf_init(&b, 256);
	JSONW_LIT(&b, "{\"status\":");
	jsonw_str(&b, status_name(a, &now));
	JSONW_LIT(&b, ",\"database\":");
	jsonw_bool(&b, now.database);
	JSONW_LIT(&b, ",\"schema\":");
	jsonw_bool(&b, now.schema);
	JSONW_LIT(&b, ",\"scheduler\":");
	jsonw_bool(&b, now.scheduler);
	/* What a provider lacks is no reason to send clients to another gateway: it lacks it there too. */
	buf_printf(&b, ",\"breakers\":{\"open\":%d,\"halfOpen\":%d}}", now.breakers_open, now.breakers_half_open);
	reply_json(rq, ready ? 200 : 503, &b);
}
