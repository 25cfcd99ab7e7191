/* A server that does nothing but HTTP, to be measured with wrk: every request goes
 * through the bounded queue to a second thread, which answers in batches, as the intake
 * does. `http_echo [address [threads [inline]]]`; ends on SIGINT or SIGTERM. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/http.h"
#include "callgate/mem.h"
#include "callgate/queue.h"

#define BATCH 200

struct echo {
	struct queue *queue;
	bool          at_once;
};

static void answer(struct http_request *rq)
{
	struct http_reply r = { .status = 200, .body = xstrdup("{\"success\":true}\n"), .body_len = 17 };

	http_reply(rq, &r);
}

static int64_t on_head(void *arg, struct http_request *rq, struct http_reply *refusal)
{
	(void)arg;
	(void)rq;
	(void)refusal;
	return 65536;
}

static void on_too_large(void *arg, struct http_request *rq, int64_t limit, struct http_reply *r)
{
	(void)arg;
	(void)rq;
	(void)limit;
	r->status = 413;
}

static void on_timed_out(void *arg, struct http_request *rq, struct http_reply *r)
{
	(void)arg;
	(void)rq;
	r->status = 503;
}

static void on_done(void *arg, const struct http_request *rq, int status)
{
	(void)arg;
	(void)rq;
	(void)status;
}

static void on_request(void *arg, struct http_request *rq)
{
	struct echo *e = arg;

	if (e->at_once || !queue_push(e->queue, rq))
		answer(rq);
}

static void *answer_batches(void *arg)
{
	struct echo *e = arg;
	void *batch[BATCH];
	size_t n;

	while ((n = queue_take(e->queue, batch, BATCH, -1)) > 0)
		for (size_t i = 0; i < n; i++)
			answer(batch[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct http_ops ops = {
		.head = on_head, .too_large = on_too_large, .request = on_request,
		.done = on_done, .timed_out = on_timed_out, .stopping = on_timed_out,
	};
	struct http_config c = {
		.listen = argc > 1 ? argv[1] : "127.0.0.1:8089",
		.threads = argc > 2 ? atoi(argv[2]) : 1,
		.max_connections = 20000, .idle_timeout_ms = 60000, .answer_timeout_ms = 10000,
	};
	struct echo e = { .queue = queue_new(16384), .at_once = argc > 3 };
	struct http_server *s;
	struct errinfo ei;
	pthread_t tid;
	sigset_t stop;
	int sig;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	if (http_start(&c, &ops, &e, &s, &ei)) {
		fprintf(stderr, "http_echo: %s\n", ei.text);
		return 1;
	}
	pthread_create(&tid, NULL, answer_batches, &e);
	printf("listening on port %d\n", http_port(s));
	fflush(stdout);
	sigwait(&stop, &sig);
	http_stop(s, 2000);
	queue_close(e.queue);
	pthread_join(tid, NULL);
	queue_free(e.queue);
	return 0;
}
