/* Inside `provider`: a circuit breaker. Pure; time is an argument. After so many failures
 * in a row it opens, and nobody is let through; when its time is over one is let through
 * to try (half-open), and how that goes decides. A probe of which nothing is heard is
 * followed by another. */
#ifndef PROVIDER_BREAKER_H
#define PROVIDER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_OPEN_MS     2000        /* the first time; doubles */
#define BREAKER_OPEN_MAX_MS 30000
#define BREAKER_PROBE_MS    30000

enum breaker_change { BREAKER_SAME, BREAKER_OPENED, BREAKER_HALF_OPENED, BREAKER_CLOSED };

struct breaker {
	int     threshold;
	int     failures;       /* in a row */
	bool    open;
	bool    probing;        /* half-open: one is under way */
	int     open_ms;
	int64_t until;          /* open until then; probing: another one after that */
};

/* May one more begin? Takes the probe's place if that is what it is. */
bool breaker_admit(struct breaker *b, int64_t now, enum breaker_change *change);
/* Is what was admitted before to be stopped? */
bool breaker_blocks(const struct breaker *b);
enum breaker_change breaker_went(struct breaker *b, bool well, int64_t now);

#endif
