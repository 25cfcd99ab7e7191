/* The simulator as a driver: events come later, from its own thread, and a life goes on
 * after the process that began it. Simulated time runs 200 to 1000 times faster here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "callgate/clock.h"
#include "callgate/heap.h"
#include "callgate/mem.h"
#include "callgate/provider.h"

struct ear {
	pthread_mutex_t       mutex;
	struct provider_event heard[4096];
	int                   n;
};

static void hear(void *arg, const struct provider_event *ev)
{
	struct ear *ear = arg;

	pthread_mutex_lock(&ear->mutex);
	if (ear->n < (int)ARRAY_LEN(ear->heard))
		ear->heard[ear->n++] = *ev;
	pthread_mutex_unlock(&ear->mutex);
}

static int count(struct ear *ear, const struct id *id, enum provider_event_kind kind,
                 struct provider_event *last)
{
	int n = 0;

	pthread_mutex_lock(&ear->mutex);
	for (int i = 0; i < ear->n; i++) {
		if (ear->heard[i].kind != kind || id_cmp(&ear->heard[i].call_id, id) != 0)
			continue;
		n++;
		if (last)
			*last = ear->heard[i];
	}
	pthread_mutex_unlock(&ear->mutex);
	return n;
}

/* Waits for at least n of that kind; the last is returned. */
static struct provider_event wait_for(struct ear *ear, const struct id *id,
                                      enum provider_event_kind kind, int n)
{
	struct provider_event ev = { 0 };
	int64_t until = mono_ms() + 5000;

	while (count(ear, id, kind, &ev) < n) {
		if (mono_ms() > until)
			fail_msg("no event of kind %d came", kind);
		usleep(500);
	}
	return ev;
}

static void ear_freep(struct ear **ear)
{
	pthread_mutex_destroy(&(*ear)->mutex);
	free(*ear);
}

static struct ear *ear_new(void)
{
	struct ear *ear = xcalloc(1, sizeof *ear);

	pthread_mutex_init(&ear->mutex, NULL);
	return ear;
}

static void provider_freep(struct provider **p)
{
	if (*p)
		(*p)->ops->free(*p);
}

static struct provider *simulator(struct ear *ear, double speed, const char *ledger, bool instant)
{
	struct simulator_config c = { .speed = speed, .dial_ledger = ledger, .instant = instant };
	struct provider *p = NULL;
	struct errinfo e;

	assert_int_equal(simulator_new(&c, hear, ear, &p, &e), OK);
	return p;
}

static struct dial_request request(const char *to)
{
	return (struct dial_request){ .call_id = id_new(), .org_id = 7, .attempt = 1, .from = "+12025550199",
	                              .to = to, .ring_timeout_s = 60, .max_duration_s = 3600,
	                              .trunk_config = "{}" };
}

static void a_call_is_accepted_rings_is_answered_and_ends(void **state)
{
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 1000, NULL, false);
	struct dial_request rq = request("+12025550100");
	struct provider_event end;

	(void)state;
	assert_int_equal(p->ops->dial(p, &rq, NULL), OK);
	end = wait_for(ear, &rq.call_id, PROVIDER_ENDED, 1);
	assert_int_equal(end.org_id, 7);
	assert_int_equal(end.attempt, 1);
	assert_int_equal(end.outcome.reason, REASON_CALLEE_HANGUP);
	assert_int_equal(ear->n, 4);
	assert_int_equal(ear->heard[0].kind, PROVIDER_ACCEPTED);
	assert_memory_equal(ear->heard[0].ref, "sim-", 4);
	assert_int_equal(ear->heard[1].kind, PROVIDER_RINGING);
	assert_int_equal(ear->heard[2].kind, PROVIDER_ANSWERED);
}

static void the_same_attempt_is_never_dialed_twice(void **state)
{
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 1, NULL, false);
	struct dial_request rq = request("+12025550100");

	(void)state;
	assert_int_equal(p->ops->dial(p, &rq, NULL), OK);
	assert_int_equal(p->ops->dial(p, &rq, NULL), ERR_CONFLICT);
}

static void every_dial_leaves_one_line_in_the_ledger(void **state)
{
	char path[] = "/tmp/callgate-ledger-XXXXXX", id[ID_TEXT_SIZE], line[128], expected[128];
	int fd = mkstemp(path);
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 1, path, true);
	struct dial_request rq = request("+12025550100");

	assert_int_equal(p->ops->dial(p, &rq, NULL), OK);
	f = fopen(path, "r");
	assert_non_null(f);
	id_format(&rq.call_id, id);
	snprintf(expected, sizeof expected, "%s 1 +12025550199 +12025550100\n", id);
	assert_non_null(fgets(line, sizeof line, f));
	assert_string_equal(line, expected);
	assert_null(fgets(line, sizeof line, f));
	fclose(f);
	unlink(path);
}

static void instant_calls_end_at_once_and_in_order(void **state)
{
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 1, NULL, true);
	struct dial_request rq[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rq); i++) {
		rq[i] = request("+12025550102");
		assert_int_equal(p->ops->dial(p, &rq[i], NULL), OK);
	}
	wait_for(ear, &rq[199].call_id, PROVIDER_ENDED, 1);
	assert_int_equal(ear->n, 400);
	for (size_t i = 0; i < ARRAY_LEN(rq); i++) {
		assert_int_equal(ear->heard[2 * i].kind, PROVIDER_ANSWERED);
		assert_int_equal(ear->heard[2 * i + 1].kind, PROVIDER_ENDED);
		assert_int_equal(id_cmp(&ear->heard[2 * i].call_id, &rq[i].call_id), 0);
	}
}

static void a_lost_dial_is_told_only_when_asked_after_its_time(void **state)
{
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 50, NULL, false);
	struct dial_request rq = request("+12025550108");
	struct provider_event ev;

	(void)state;
	assert_int_equal(p->ops->dial(p, &rq, NULL), OK);
	ev = wait_for(ear, &rq.call_id, PROVIDER_UNCERTAIN, 1);
	assert_true(ev.retry_ms > 0);
	assert_int_equal(p->ops->lookup(p, &rq, NULL), OK);
	wait_for(ear, &rq.call_id, PROVIDER_UNCERTAIN, 2);
	usleep(400 * 1000);             /* 20 simulated seconds: its time has passed, nobody asked */
	assert_int_equal(count(ear, &rq.call_id, PROVIDER_ANSWERED, NULL), 0);
	assert_int_equal(p->ops->lookup(p, &rq, NULL), OK);
	wait_for(ear, &rq.call_id, PROVIDER_ANSWERED, 1);
	wait_for(ear, &rq.call_id, PROVIDER_ENDED, 1);
}

static void a_confirmed_attempt_outlives_the_gateway(void **state)
{
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 100, NULL, false);
	struct dial_request rq = request("+12025550100");

	(void)state;
	rq.phase = 3;
	rq.since_ms = 200;              /* 20 simulated seconds: answered, still talking */
	assert_int_equal(p->ops->lookup(p, &rq, NULL), OK);
	wait_for(ear, &rq.call_id, PROVIDER_ANSWERED, 1);
	assert_int_equal(count(ear, &rq.call_id, PROVIDER_ENDED, NULL), 0);
	wait_for(ear, &rq.call_id, PROVIDER_ENDED, 1);
}

static void an_attempt_never_confirmed_is_of_unknown_outcome(void **state)
{
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 100, NULL, false);
	struct dial_request rq = request("+12025550100");
	struct provider_event ev;

	(void)state;
	rq.phase = 2;
	rq.since_ms = 500;
	assert_int_equal(p->ops->lookup(p, &rq, NULL), OK);
	ev = wait_for(ear, &rq.call_id, PROVIDER_ENDED, 1);
	assert_int_equal(ev.outcome.reason, REASON_OUTCOME_UNKNOWN);
	assert_false(ev.outcome.never_rang);
}

static void a_lost_dial_is_found_by_another_process_too(void **state)
{
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 100, NULL, false);
	struct dial_request rq = request("+12025550108");

	(void)state;
	rq.phase = 2;
	rq.since_ms = 50;               /* 5 simulated seconds: not yet */
	assert_int_equal(p->ops->lookup(p, &rq, NULL), OK);
	wait_for(ear, &rq.call_id, PROVIDER_UNCERTAIN, 1);
	rq.since_ms = 150;
	assert_int_equal(p->ops->lookup(p, &rq, NULL), OK);
	wait_for(ear, &rq.call_id, PROVIDER_ANSWERED, 1);
	wait_for(ear, &rq.call_id, PROVIDER_ENDED, 1);
}

static void a_hangup_tells_what_really_happened(void **state)
{
	CLEANUP(ear_freep) struct ear *ear = ear_new();
	CLEANUP(provider_freep) struct provider *p = simulator(ear, 100, NULL, false);
	struct dial_request talking = request("+12025550111"), ringing = request("+12025550102");
	struct dial_request unknown = request("+12025550100");
	struct provider_event ev;

	(void)state;
	assert_int_equal(p->ops->dial(p, &talking, NULL), OK);
	assert_int_equal(p->ops->dial(p, &ringing, NULL), OK);
	wait_for(ear, &talking.call_id, PROVIDER_ANSWERED, 1);
	wait_for(ear, &ringing.call_id, PROVIDER_RINGING, 1);
	assert_int_equal(p->ops->hangup(p, &talking, NULL), OK);
	assert_int_equal(p->ops->hangup(p, &ringing, NULL), OK);
	ev = wait_for(ear, &talking.call_id, PROVIDER_ENDED, 1);
	assert_int_equal(ev.outcome.reason, REASON_AGENT_HANGUP);
	ev = wait_for(ear, &ringing.call_id, PROVIDER_ENDED, 1);
	assert_int_equal(ev.outcome.reason, REASON_CANCELED);
	assert_int_equal(p->ops->hangup(p, &unknown, NULL), ERR_NOT_FOUND);
}

static void a_speed_of_nothing_is_refused(void **state)
{
	struct simulator_config c = { .speed = 0 };
	struct provider *p = NULL;
	struct errinfo e;

	(void)state;
	assert_int_equal(simulator_new(&c, hear, NULL, &p, &e), ERR_INVALID);
	assert_null(p);
}

struct thing {
	struct heap_node timer;
	bool             in;
};

static void a_heap_gives_the_earliest_through_moves_and_removals(void **state)
{
	struct thing things[300] = { 0 };
	struct heap h = { 0 };
	unsigned seed = 7;
	int64_t last = 0;
	size_t left = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct thing *t = &things[rand_r(&seed) % ARRAY_LEN(things)];

		if (rand_r(&seed) % 3 == 0) {
			heap_remove(&h, &t->timer);
			t->in = false;
		} else {
			heap_set(&h, &t->timer, rand_r(&seed) % 1000);
			t->in = true;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(things); i++)
		left += things[i].in;
	assert_int_equal(h.n, left);
	while (heap_first(&h)) {
		assert_true(heap_first(&h)->key >= last);
		last = heap_first(&h)->key;
		heap_remove(&h, heap_first(&h));
	}
	heap_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_is_accepted_rings_is_answered_and_ends),
		cmocka_unit_test(the_same_attempt_is_never_dialed_twice),
		cmocka_unit_test(every_dial_leaves_one_line_in_the_ledger),
		cmocka_unit_test(instant_calls_end_at_once_and_in_order),
		cmocka_unit_test(a_lost_dial_is_told_only_when_asked_after_its_time),
		cmocka_unit_test(a_confirmed_attempt_outlives_the_gateway),
		cmocka_unit_test(an_attempt_never_confirmed_is_of_unknown_outcome),
		cmocka_unit_test(a_lost_dial_is_found_by_another_process_too),
		cmocka_unit_test(a_hangup_tells_what_really_happened),
		cmocka_unit_test(a_speed_of_nothing_is_refused),
		cmocka_unit_test(a_heap_gives_the_earliest_through_moves_and_removals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
