/* A server on loopback that does what a test tells it, connection by connection: answer,
 * be slow, hang up half-way, talk nonsense. It counts connections and whole requests. */
#ifndef TESTS_SOCKET_SERVER_H
#define TESTS_SOCKET_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SSERVER_REQUEST_MAX 65536
#define SSERVER_CONNECTIONS_MAX 4096

struct sserver;

/* Serves one connection; returns when it is to be shut. */
typedef void sserver_fn(struct sserver *s, int fd);

struct sserver {
	int         listener, port;
	int         stop[2];            /* readable once the test is over */
	sserver_fn *serve;
	void       *arg;
	pthread_t   thread;
	pthread_t   threads[SSERVER_CONNECTIONS_MAX];
	atomic_int  connections, requests;
};

struct sserver_visit {
	struct sserver *server;
	int             fd;
};

/* Waits until it can be read; false when the test is over. */
static inline bool sserver_wait(struct sserver *s, int fd, int timeout_ms)
{
	struct pollfd p[2] = { { .fd = s->stop[0], .events = POLLIN }, { .fd = fd, .events = POLLIN } };

	poll(p, fd >= 0 ? 2 : 1, timeout_ms);
	return p[0].revents == 0;
}

/* One whole request, head and body; 0 when there is none. `body` points behind the head. */
static inline size_t sserver_request(struct sserver *s, int fd, char *out, const char **body)
{
	size_t n = 0, need = 0;

	for (;;) {
		char *end, *length;
		ssize_t got;

		if (!sserver_wait(s, fd, -1))
			return 0;
		got = read(fd, out + n, SSERVER_REQUEST_MAX - 1 - n);
		if (got <= 0)
			return 0;
		n += (size_t)got;
		out[n] = '\0';
		end = strstr(out, "\r\n\r\n");
		if (!end)
			continue;
		length = strcasestr(out, "\r\ncontent-length:");
		need = (size_t)(end + 4 - out) + (length && length < end ? (size_t)atol(length + 17) : 0);
		if (n < need)
			continue;
		*body = end + 4;
		s->requests++;
		return n;
	}
}

static inline void sserver_send(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		text += sent;
		n -= (size_t)sent;
	}
}

static inline void sserver_answer(int fd, int status, const char *body)
{
	char *text = malloc(strlen(body) + 256);

	snprintf(text, strlen(body) + 256, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	         status, strlen(body), body);
	sserver_send(fd, text);
	free(text);
}

static inline void *sserver_visit_run(void *arg)
{
	struct sserver_visit v = *(struct sserver_visit *)arg;

	free(arg);
	v.server->serve(v.server, v.fd);
	close(v.fd);
	return NULL;
}

static inline void *sserver_run(void *arg)
{
	struct sserver *s = arg;

	while (sserver_wait(s, s->listener, -1)) {
		int fd = accept(s->listener, NULL, NULL);
		struct sserver_visit *v;

		if (fd < 0)
			continue;
		if (s->connections == SSERVER_CONNECTIONS_MAX)
			abort();
		v = malloc(sizeof *v);
		*v = (struct sserver_visit){ s, fd };
		pthread_create(&s->threads[s->connections++], NULL, sserver_visit_run, v);
	}
	return NULL;
}

static inline struct sserver *sserver_new(sserver_fn *serve, void *arg)
{
	struct sserver *s = calloc(1, sizeof *s);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;

	s->serve = serve;
	s->arg = arg;
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (pipe(s->stop) || bind(s->listener, (struct sockaddr *)&at, sizeof at) || listen(s->listener, 1024) ||
	    getsockname(s->listener, (struct sockaddr *)&at, &len))
		abort();
	s->port = ntohs(at.sin_port);
	pthread_create(&s->thread, NULL, sserver_run, s);
	return s;
}

static inline void sserver_free(struct sserver *s)
{
	close(s->stop[1]);
	pthread_join(s->thread, NULL);
	for (int i = 0; i < s->connections; i++)
		pthread_join(s->threads[i], NULL);
	close(s->listener);
	close(s->stop[0]);
	free(s);
}

/* A port nobody listens at. */
static inline int sserver_dead_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof at) || getsockname(fd, (struct sockaddr *)&at, &len))
		abort();
	close(fd);
	return ntohs(at.sin_port);
}

#endif
