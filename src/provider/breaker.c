/* See breaker.h. */
#include "breaker.h"

bool breaker_admit(struct breaker *b, int64_t now, enum breaker_change *change)
{
	*change = BREAKER_SAME;
	if (!b->open)
		return true;
	if (now < b->until)
		return false;
	*change = b->probing ? BREAKER_SAME : BREAKER_HALF_OPENED;
	b->probing = true;
	b->until = now + BREAKER_PROBE_MS;
	return true;
}

bool breaker_blocks(const struct breaker *b)
{
	return b->open && !b->probing;
}

static enum breaker_change failed(struct breaker *b, int64_t now)
{
	if (b->failures < 1000000)
		b->failures++;
	if (b->open && !b->probing)     /* one that was under way before; says nothing new */
		return BREAKER_SAME;
	if (!b->open && b->failures < b->threshold)
		return BREAKER_SAME;
	b->open_ms = b->open ? b->open_ms * 2 : BREAKER_OPEN_MS;
	if (b->open_ms > BREAKER_OPEN_MAX_MS)
		b->open_ms = BREAKER_OPEN_MAX_MS;
	b->open = true;
	b->probing = false;
	b->until = now + b->open_ms;
	return BREAKER_OPENED;
}

enum breaker_change breaker_went(struct breaker *b, bool well, int64_t now)
{
	bool was_open = b->open;

	if (!well)
		return failed(b, now);
	b->failures = 0;
	b->open = b->probing = false;
	return was_open ? BREAKER_CLOSED : BREAKER_SAME;
}
