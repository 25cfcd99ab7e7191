/* Ids. One atomic word holds the last (millisecond, count) given out; taking the next is
 * "now, or one past the last, whichever is later", so ids rise strictly whatever the
 * wall clock does, and a burst of more than 256 in a millisecond borrows from the next.
 *
 *     bytes 0-5   6 7          8-15
 *     unix ms     7 SCC        10 and 62 random bits       S: process, CC: count
 */
#include "callgate/id.h"

#include <stdatomic.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/digest.h"

#define COUNT_BITS  8
#define LOW_BITS    12                          /* process and count */
#define MAX_MS      ((INT64_C(1) << 48) - 1)
/* A number spends 12 bits on process and count, which leaves 41 for the millisecond:
 * almost 70 years, if they do not begin in 1970. */
#define NUMBER_EPOCH_MS INT64_C(1735689600000)  /* 2025-01-01T00:00:00Z */
#define NUMBER_MAX      ((INT64_C(1) << 53) - 1)

static atomic_uint      process_slot;
static _Atomic int64_t  clock_offset_ms;
static _Atomic int64_t  last_tick;              /* ms << COUNT_BITS | count */

void id_set_process(unsigned slot)
{
	atomic_store(&process_slot, slot % 16);
}

void id_set_clock_offset(int64_t ms)
{
	atomic_store(&clock_offset_ms, ms);
}

/* The upper half (ms, version, low12) and the lower (variant, 62 bits) as bytes. */
static struct id make(int64_t ms, unsigned low12, uint64_t random62)
{
	uint64_t upper = (uint64_t)ms << 16 | UINT64_C(0x7000) | low12;
	uint64_t lower = UINT64_C(2) << 62 | (random62 & (UINT64_MAX >> 2));
	struct id id;

	for (int i = 7; i >= 0; i--) {
		id.b[i] = (uint8_t)upper;
		id.b[i + 8] = (uint8_t)lower;
		upper >>= 8;
		lower >>= 8;
	}
	return id;
}

static int64_t clamp_ms(int64_t ms)
{
	if (ms < 0)
		return 0;
	return ms > MAX_MS ? MAX_MS : ms;
}

static int64_t next_tick(void)
{
	int64_t offset = atomic_load_explicit(&clock_offset_ms, memory_order_relaxed);
	int64_t now = clamp_ms(wall_ms() + offset) << COUNT_BITS;
	int64_t last = atomic_load_explicit(&last_tick, memory_order_relaxed);
	int64_t tick;

	do
		tick = now > last ? now : last + 1;
	while (!atomic_compare_exchange_weak(&last_tick, &last, tick));
	return tick;
}

struct id id_new(void)
{
	int64_t tick = next_tick();
	unsigned slot = atomic_load_explicit(&process_slot, memory_order_relaxed);
	unsigned count = (unsigned)tick & ((1u << COUNT_BITS) - 1);
	uint64_t random;

	random_bytes(&random, sizeof random);
	return make(tick >> COUNT_BITS, slot << COUNT_BITS | count, random);
}

struct id id_random(void)
{
	struct id id;

	random_bytes(id.b, sizeof id.b);
	id.b[6] = (uint8_t)(0x40 | (id.b[6] & 0x0f));
	id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
	return id;
}

struct id id_floor(int64_t utc_ms)
{
	return make(clamp_ms(utc_ms), 0, 0);
}

int64_t id_ms(const struct id *id)
{
	int64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->b[i];
	return ms;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool id_parse(const char *text, struct id *out)
{
	struct id id;
	size_t n = 0;

	for (int i = 0; i < 36; i++) {
		int hi, lo;

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return false;
			continue;
		}
		hi = hex_value(text[i]);
		lo = hi < 0 ? -1 : hex_value(text[++i]);
		if (lo < 0)
			return false;
		id.b[n++] = (uint8_t)(hi << 4 | lo);
	}
	if (text[36])
		return false;
	*out = id;
	return true;
}

void id_format(const struct id *id, char out[ID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[id->b[i] >> 4];
		*out++ = digits[id->b[i] & 15];
	}
	*out = '\0';
}

int id_cmp(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, sizeof a->b);
}

int64_t id_number(const struct id *id)
{
	int64_t since = id_ms(id) - NUMBER_EPOCH_MS;
	int64_t low12 = (id->b[6] & 0x0f) << 8 | id->b[7];

	if (id->b[6] >> 4 != 7 || id->b[8] >> 6 != 2)
		return 0;
	if (since < 0 || since > NUMBER_MAX >> LOW_BITS)
		return 0;
	return since << LOW_BITS | low12;
}

/* A number that no id has yields an empty range (lo above hi), so that a look-up with
 * what a client sent needs no check of its own. */
void id_number_range(int64_t number, struct id *lo, struct id *hi)
{
	int64_t ms;
	unsigned low12;

	if (number <= 0 || number > NUMBER_MAX) {
		memset(lo, 0xff, sizeof *lo);
		memset(hi, 0, sizeof *hi);
		return;
	}
	ms = (number >> LOW_BITS) + NUMBER_EPOCH_MS;
	low12 = (unsigned)number & ((1u << LOW_BITS) - 1);
	*lo = make(ms, low12, 0);
	*hi = make(ms, low12, UINT64_MAX);
}
