/* The bounded queue, alone and between threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/queue.h"

static void queue_freep(struct queue **q)
{
	queue_free(*q);
}

static void *item(intptr_t n)
{
	return (void *)n;
}

static void items_come_out_in_the_order_they_went_in(void **state)
{
	CLEANUP(queue_freep) struct queue *q = queue_new(3);
	void *out[3];

	(void)state;
	/* More rounds than the ring is long, so that it wraps at every offset. */
	for (intptr_t n = 1; n < 20; n += 2) {
		assert_true(queue_push(q, item(n)));
		assert_true(queue_push(q, item(n + 1)));
		assert_int_equal(queue_len(q), 2);
		assert_int_equal(queue_take(q, out, 3, 0), 2);
		assert_ptr_equal(out[0], item(n));
		assert_ptr_equal(out[1], item(n + 1));
	}
}

static void a_full_queue_refuses(void **state)
{
	CLEANUP(queue_freep) struct queue *q = queue_new(2);
	void *out[1];

	(void)state;
	assert_true(queue_push(q, item(1)));
	assert_true(queue_push(q, item(2)));
	assert_false(queue_push(q, item(3)));
	assert_int_equal(queue_len(q), 2);
	assert_int_equal(queue_take(q, out, 1, 0), 1);
	assert_true(queue_push(q, item(3)));
}

static void a_batch_takes_no_more_than_asked_for(void **state)
{
	CLEANUP(queue_freep) struct queue *q = queue_new(10);
	void *out[4];

	(void)state;
	for (intptr_t n = 0; n < 6; n++)
		assert_true(queue_push(q, item(n)));
	assert_int_equal(queue_take(q, out, 4, -1), 4);
	assert_int_equal(queue_take(q, out, 4, -1), 2);
	assert_ptr_equal(out[1], item(5));
}

static void an_empty_queue_waits_for_its_time(void **state)
{
	CLEANUP(queue_freep) struct queue *q = queue_new(1);
	int64_t start = mono_ms();
	void *out[1];

	(void)state;
	assert_int_equal(queue_take(q, out, 1, 0), 0);
	assert_int_equal(queue_take(q, out, 1, 30), 0);
	assert_true(mono_ms() - start >= 29);
}

static void a_closed_queue_is_drained_and_then_gives_nothing(void **state)
{
	CLEANUP(queue_freep) struct queue *q = queue_new(4);
	void *out[4];

	(void)state;
	assert_true(queue_push(q, item(1)));
	queue_close(q);
	assert_false(queue_push(q, item(2)));
	assert_false(queue_closed(q));
	assert_int_equal(queue_take(q, out, 4, -1), 1);
	assert_true(queue_closed(q));
	assert_int_equal(queue_take(q, out, 4, -1), 0);
}

static void an_open_queue_is_not_closed(void **state)
{
	CLEANUP(queue_freep) struct queue *q = queue_new(4);

	(void)state;
	assert_false(queue_closed(q));
}

#define PRODUCERS 3
#define CONSUMERS 2
#define EACH      20000

struct crowd {
	struct queue *q;
	atomic_int    next_producer;
	atomic_int    refused;
	atomic_int    disorder;
	atomic_char   seen[PRODUCERS * EACH];
};

static void *produce(void *arg)
{
	struct crowd *c = arg;
	intptr_t base = atomic_fetch_add(&c->next_producer, 1) * EACH;

	for (intptr_t i = 0; i < EACH; i++) {
		while (!queue_push(c->q, item(base + i))) {
			atomic_fetch_add(&c->refused, 1);
			sched_yield();
		}
	}
	return NULL;
}

/* Each consumer sees the items of one producer in their order. */
static void *consume(void *arg)
{
	struct crowd *c = arg;
	intptr_t last[PRODUCERS];
	void *out[7];
	size_t n;

	for (int p = 0; p < PRODUCERS; p++)
		last[p] = -1;
	while ((n = queue_take(c->q, out, ARRAY_LEN(out), -1)) > 0) {
		for (size_t i = 0; i < n; i++) {
			intptr_t v = (intptr_t)out[i];

			if (v <= last[v / EACH])
				atomic_fetch_add(&c->disorder, 1);
			last[v / EACH] = v;
			atomic_fetch_add(&c->seen[v], 1);
		}
	}
	return NULL;
}

static void nothing_is_lost_or_doubled_between_threads(void **state)
{
	CLEANUP(freep) struct crowd *c = xcalloc(1, sizeof *c);
	CLEANUP(queue_freep) struct queue *q = queue_new(50);
	pthread_t producers[PRODUCERS], consumers[CONSUMERS];

	(void)state;
	c->q = q;
	for (int i = 0; i < CONSUMERS; i++)
		assert_int_equal(pthread_create(&consumers[i], NULL, consume, c), 0);
	for (int i = 0; i < PRODUCERS; i++)
		assert_int_equal(pthread_create(&producers[i], NULL, produce, c), 0);
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(producers[i], NULL);
	queue_close(q);         /* wakes every consumer that waits for ever */
	for (int i = 0; i < CONSUMERS; i++)
		pthread_join(consumers[i], NULL);
	assert_int_equal(atomic_load(&c->disorder), 0);
	for (int i = 0; i < PRODUCERS * EACH; i++)
		assert_int_equal(atomic_load(&c->seen[i]), 1);
}

static void *take_one(void *arg)
{
	void *out[1];

	return queue_take(arg, out, 1, 10000) == 1 ? out[0] : NULL;
}

static void a_waiting_consumer_is_woken_by_a_push(void **state)
{
	CLEANUP(queue_freep) struct queue *q = queue_new(1);
	int64_t start = mono_ms();
	pthread_t consumer;
	void *got;

	(void)state;
	assert_int_equal(pthread_create(&consumer, NULL, take_one, q), 0);
	assert_true(queue_push(q, item(9)));
	pthread_join(consumer, &got);
	assert_ptr_equal(got, item(9));
	assert_true(mono_ms() - start < 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_come_out_in_the_order_they_went_in),
		cmocka_unit_test(a_full_queue_refuses),
		cmocka_unit_test(a_batch_takes_no_more_than_asked_for),
		cmocka_unit_test(an_empty_queue_waits_for_its_time),
		cmocka_unit_test(a_closed_queue_is_drained_and_then_gives_nothing),
		cmocka_unit_test(an_open_queue_is_not_closed),
		cmocka_unit_test(nothing_is_lost_or_doubled_between_threads),
		cmocka_unit_test(a_waiting_consumer_is_woken_by_a_push),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
