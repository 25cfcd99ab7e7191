/* Admission without HTTP: N threads, each with a connection of its own, run the very
 * statement of the gateway in batches of a given size.
 *
 *     admit_loop URL THREADS BATCH SECONDS TENANTS [CALLS [full]]
 *
 * A batch of 1 is "the same admission, one call per transaction"; one of 200 on one or
 * two threads is the ceiling of group commit. With CALLS it stops after so many, which
 * fills a queue. The threads take turns in the tenants: two that share one wait for each
 * other's commit at its account. Every call has a destination of its own; anything but "accepted" ends
 * the program. With "full" each has a key, metadata, one of the priorities and bounds of its own,
 * as tests/bench/post_full.lua sends them. */
#include <pthread.h>
#include <stdatomic.h>

#include "bench.h"

#define SAMPLES_MAX 2000000

struct run {
	const char *url;
	size_t      batch;
	int64_t     until_us;
	int64_t     calls;              /* 0: until the time is over */
	int         tenants;
	int         start_s;
	bool        full;
	uint8_t     key_hash[SHA256_SIZE];
	atomic_llong taken;
};

struct worker {
	pthread_t   thread;
	struct run *run;
	int64_t     org;
	int64_t     done;
	int64_t    *samples;
	size_t      n_samples;
};

/* Eight digits that count, scattered as real destinations are (the factor has no divisor
 * in common with 10^8, so none comes twice), and five of the wall clock's seconds. */
static void fill_plain(const struct run *r, int64_t org, struct admission *a, char (*to)[E164_SIZE], size_t n, int64_t first)
{
	static const char rq[] = "01890a5d-ac96-774b-bcce-b302099a8057";

	for (size_t i = 0; i < n; i++) {
		snprintf(to[i], E164_SIZE, "+49%08lld%05d", (long long)((first + (int64_t)i) * 61803399 % 100000000), r->start_s);
		a[i] = (struct admission){
			.key_org = org, .body_ok = true, .project = BENCH_PROJECT, .from = BENCH_FROM,
			.to = to[i], .variables = BENCH_VARS, .prio = 1, .request_id = rq, .call_id = id_new(),
		};
		memcpy(a[i].key_hash, r->key_hash, SHA256_SIZE);
	}
}

#define META "{\"campaign\":\"autumn\",\"customer\":\"c-102938\"}"

struct keys {
	uint8_t key[SHA256_SIZE], print[SHA256_SIZE];
};

static void fill(const struct run *r, int64_t org, struct admission *a, char (*to)[E164_SIZE], struct keys *k, size_t n,
                 int64_t first)
{
	fill_plain(r, org, a, to, n, first);
	for (size_t i = 0; i < n && r->full; i++) {
		sha256(to[i], strlen(to[i]), k[i].key);
		sha256(to[i] + 1, strlen(to[i]) - 1, k[i].print);
		a[i].idem_key = k[i].key;
		a[i].idem_print = k[i].print;
		a[i].metadata = META;
		a[i].prio = (int16_t)((first + (int64_t)i) % 3);
		a[i].ring_timeout_s = 45;
		a[i].max_duration_s = 300;
	}
}

static size_t share(struct run *r, int64_t *first)
{
	int64_t at = atomic_fetch_add(&r->taken, (long long)r->batch);

	*first = at;
	if (!r->calls)
		return now_us() < r->until_us ? r->batch : 0;
	if (at >= r->calls)
		return 0;
	return r->calls - at < (int64_t)r->batch ? (size_t)(r->calls - at) : r->batch;
}

static const struct admit_rules rules = { .queue_ttl_s = 86400 };

static void *work(void *arg)
{
	struct worker *w = arg;
	struct store *s = store_new(w->run->url, "bench admit");
	struct admission a[ADMIT_BATCH_MAX], *items[ADMIT_BATCH_MAX];
	char to[ADMIT_BATCH_MAX][E164_SIZE];
	struct keys keys[ADMIT_BATCH_MAX];
	struct errinfo e;
	int64_t first, t;
	size_t n;

	TRY(store_connect(s, &e));
	while ((n = share(w->run, &first)) > 0) {
		fill(w->run, w->org, a, to, keys, n, first);
		for (size_t i = 0; i < n; i++)
			items[i] = &a[i];
		t = now_us();
		TRY(store_admit(s, items, n, &rules, &e));
		TRY(store_admit_flush(s, items, n, &rules, &e));
		if (w->n_samples < SAMPLES_MAX)
			w->samples[w->n_samples++] = now_us() - t;
		for (size_t i = 0; i < n; i++) {
			if (a[i].outcome != ADMIT_ACCEPTED) {
				fprintf(stderr, "outcome %d for %s\n", a[i].outcome, a[i].to);
				exit(1);
			}
		}
		w->done += (int64_t)n;
	}
	store_free(s);
	return NULL;
}

int main(int argc, char **argv)
{
	struct run r = { 0 };
	struct worker *workers;
	int64_t start, elapsed, done = 0, *all;
	size_t threads, n = 0;

	if (argc < 6 || argc > 8) {
		fprintf(stderr, "usage: admit_loop URL THREADS BATCH SECONDS TENANTS [CALLS [full]]\n");
		return 2;
	}
	r.url = argv[1];
	threads = (size_t)number(argv[2], 1, 256);
	r.batch = (size_t)number(argv[3], 1, ADMIT_BATCH_MAX);
	r.tenants = (int)number(argv[5], 1, BENCH_TENANTS);
	r.calls = argc >= 7 ? number(argv[6], 0, 1000000000) : 0;
	r.full = argc == 8 && !strcmp(argv[7], "full");
	workers = xcalloc(threads, sizeof *workers);
	r.start_s = (int)(wall_ms() / 1000 % 100000);
	sha256(BENCH_KEY, strlen(BENCH_KEY), r.key_hash);
	start = now_us();
	r.until_us = start + number(argv[4], 0, 3600) * 1000000;
	for (size_t i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .run = &r, .org = (int64_t)i % r.tenants + 1, .samples = xcalloc(SAMPLES_MAX, sizeof(int64_t)) };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	for (size_t i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		done += workers[i].done;
		n += workers[i].n_samples;
	}
	elapsed = now_us() - start;
	all = xcalloc(n + 1, sizeof *all);
	n = 0;
	for (size_t i = 0; i < threads; i++) {
		memcpy(all + n, workers[i].samples, workers[i].n_samples * sizeof *all);
		n += workers[i].n_samples;
	}
	printf("{\"calls\":%lld,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
	       (long long)done, (double)elapsed / 1e6, (double)done * 1e6 / (double)elapsed,
	       percentile_ms(all, n, 0.50), percentile_ms(all, n, 0.99));
	return 0;
}
