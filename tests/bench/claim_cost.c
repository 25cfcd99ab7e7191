/* What one claim costs: 200 calls over 50 lanes, so many times.
 *
 *     claim_cost URL CLAIMS
 *
 * The queue is filled by scripts/bench, and topped up between the runs of this program, so
 * that its depth stays what it is called. */
#include "bench.h"

#define LANES    50
#define PER_LANE 4

int main(int argc, char **argv)
{
	struct claim_want want[LANES] = { 0 };
	struct inflight *calls;
	int64_t gateway, *samples, t;
	struct store *s;
	struct errinfo e;
	long claims;
	size_t n;

	if (argc != 3) {
		fprintf(stderr, "usage: claim_cost URL CLAIMS\n");
		return 2;
	}
	claims = number(argv[2], 1, 100000);
	samples = xcalloc((size_t)claims, sizeof *samples);
	s = store_new(argv[1], "bench claim");
	gateway = bench_gateway(s);
	for (int i = 0; i < LANES; i++)
		want[i] = (struct claim_want){ .lane = { i + 1, 1, 1, 1 }, .take = PER_LANE };
	for (long c = 0; c < claims; c++) {
		t = now_us();
		TRY(store_claim(s, gateway, want, LANES, MARGIN_MS, &calls, &n, &e));
		samples[c] = now_us() - t;
		inflight_free_all(calls, n);
		if (n != (size_t)LANES * PER_LANE) {
			fprintf(stderr, "a claim got %zu calls\n", n);
			return 1;
		}
	}
	TRY(store_gateway_close(s, gateway, &e));
	store_free(s);
	printf("{\"claims\":%ld,\"us\":[", claims);
	for (long c = 0; c < claims; c++)
		printf("%s%lld", c ? "," : "", (long long)samples[c]);
	printf("]}\n");
	return 0;
}
