/* Draining without a scheduler or a provider: claim, intent, outcome, one after another on
 * one connection, until the queue is empty. What the drain of the gateway is compared
 * with: the same statements, nothing else.
 *
 *     drain_loop URL BATCH */
#include "bench.h"

static size_t claim_some(struct store *s, int64_t gateway, int batch, struct call_ref *refs)
{
	const struct claim_want want = { .lane = { BENCH_ORG, 1, 1, 1 }, .take = batch };
	struct inflight *calls = NULL;
	struct errinfo e;
	size_t n = 0;

	TRY(store_claim(s, gateway, &want, 1, MARGIN_MS, &calls, &n, &e));
	for (size_t i = 0; i < n; i++)
		refs[i] = (struct call_ref){ calls[i].lane.org_id, calls[i].call_id, calls[i].attempt };
	inflight_free_all(calls, n);
	return n;
}

static void finish_all(struct store *s, const struct call_ref *refs, size_t n)
{
	struct call_end ends[DISPATCH_BATCH_MAX];
	struct errinfo e;

	for (size_t i = 0; i < n; i++)
		ends[i] = (struct call_end){ .call = refs[i], .outcome = { .reason = REASON_CALLEE_HANGUP } };
	TRY(store_finish(s, ends, n, &e));
	for (size_t i = 0; i < n; i++)
		if (!ends[i].ended)
			die("a call had ended already", NULL);
}

int main(int argc, char **argv)
{
	struct call_ref refs[DISPATCH_BATCH_MAX];
	bool may_dial[DISPATCH_BATCH_MAX];
	int64_t gateway, start, t, spent[3] = { 0 }, calls = 0;
	struct store *s;
	struct errinfo e;
	size_t n;
	int batch;

	if (argc != 3) {
		fprintf(stderr, "usage: drain_loop URL BATCH\n");
		return 2;
	}
	batch = (int)number(argv[2], 1, DISPATCH_BATCH_MAX);
	s = store_new(argv[1], "bench drain");
	gateway = bench_gateway(s);
	for (start = t = now_us(); (n = claim_some(s, gateway, batch, refs)) > 0; t = now_us()) {
		spent[0] += now_us() - t;
		t = now_us();
		TRY(store_intent(s, gateway, refs, NULL, n, may_dial, &e));
		for (size_t i = 0; i < n; i++)
			if (!may_dial[i])
				die("an intent was refused", NULL);
		spent[1] += now_us() - t;
		t = now_us();
		finish_all(s, refs, n);
		spent[2] += now_us() - t;
		calls += (int64_t)n;
	}
	start = now_us() - start;
	TRY(store_gateway_close(s, gateway, &e));
	store_free(s);
	printf("{\"calls\":%lld,\"seconds\":%.3f,\"per_second\":%.0f,\"claim_us\":%.1f,\"intent_us\":%.1f,\"finish_us\":%.1f}\n",
	       (long long)calls, (double)start / 1e6, (double)calls * 1e6 / (double)start, (double)spent[0] / (double)calls,
	       (double)spent[1] / (double)calls, (double)spent[2] / (double)calls);
	return 0;
}
