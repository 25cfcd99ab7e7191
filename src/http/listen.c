/* Listening sockets. All of them carry SO_REUSEPORT, so that the kernel spreads the
 * connections over the I/O threads; but the first is bound before it gets the option.
 * Otherwise a second gateway started by mistake (same user, same port) would bind too
 * and silently receive half of the connections. */
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "ceilings.h"

#define HOST_MAX 256

union address {
	struct sockaddr         any;
	struct sockaddr_in      v4;
	struct sockaddr_in6     v6;
	struct sockaddr_storage room;
};

/* "host:port" in its two halves, brackets taken off; an empty host means every address. */
static enum err split(const char *where, char host[HOST_MAX], int *port, struct errinfo *e)
{
	const char *colon = where ? strrchr(where, ':') : NULL;
	const char *begin = where;
	int64_t number;
	size_t len;

	if (!colon)
		return err_set(e, ERR_INVALID, "listen address \"%s\" has no port: write host:port",
		               where ? where : "");
	if (!parse_int(colon + 1, 0, 65535, &number))
		return err_set(e, ERR_INVALID, "listen address \"%s\": the port must be 0 to 65535", where);
	len = (size_t)(colon - where);
	if (len > 0 && begin[0] == '[') {
		if (begin[len - 1] != ']' || len < 4)
			return err_set(e, ERR_INVALID, "listen address \"%s\": write [IPv6 address]:port", where);
		begin++;
		len -= 2;
	} else if (memchr(begin, ':', len)) {
		return err_set(e, ERR_INVALID, "listen address \"%s\": put an IPv6 address in brackets", where);
	}
	if (len >= HOST_MAX)
		return err_set(e, ERR_INVALID, "listen address: the host name is too long");
	memcpy(host, begin, len);
	host[len] = '\0';
	*port = (int)number;
	return OK;
}

static void freeaddrinfop(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

static enum err resolve(const char *where, union address *out, socklen_t *out_len, struct errinfo *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	CLEANUP(freeaddrinfop) struct addrinfo *list = NULL;
	char host[HOST_MAX], service[8];
	int port = 0, rc;
	enum err err;

	err = split(where, host, &port, e);
	if (err)
		return err;
	memset(out, 0, sizeof *out);
	if (!host[0]) {
		out->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_any };
		*out_len = sizeof out->v6;
		return OK;
	}
	snprintf(service, sizeof service, "%d", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0 || list->ai_addrlen > sizeof *out)
		return err_set(e, ERR_INVALID, "listen address \"%s\": %s", where,
		               rc != 0 ? gai_strerror(rc) : "an address of an unknown kind");
	memcpy(out, list->ai_addr, list->ai_addrlen);
	*out_len = list->ai_addrlen;
	return OK;
}

static enum err failed(const char *what, const char *where, struct errinfo *e)
{
	switch (errno) {
	case EADDRINUSE:
		return err_set(e, ERR_UNAVAILABLE, "%s is already in use by another program", where);
	case EACCES:
		return err_set(e, ERR_DENIED, "%s: no right to listen on this port", where);
	case EADDRNOTAVAIL:
		return err_set(e, ERR_INVALID, "%s is not an address of this machine", where);
	default:
		return err_set(e, ERR_UNAVAILABLE, "%s: %s: %s", where, what, strerror(errno));
	}
}

static void set_option(int fd, int level, int name, int value)
{
	/* These cannot fail on a socket just made; if one did, bind says so more clearly. */
	(void)setsockopt(fd, level, name, &value, sizeof value);
}

static enum err open_one(const union address *a, socklen_t len, bool first, const char *where,
                         int *out, struct errinfo *e)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	enum err err;

	if (fd < 0)
		return failed("socket", where, e);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (a->any.sa_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (!first)
		set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (bind(fd, &a->any, len) < 0) {
		err = failed("bind", where, e);
		close(fd);
		return err;
	}
	if (first)
		set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	*out = fd;
	return OK;
}

/* The first one, exclusively; ":port" on a machine without IPv6 means IPv4. */
static enum err open_first(union address *a, socklen_t *len, const char *where, int *out,
                           struct errinfo *e)
{
	enum err err = open_one(a, *len, true, where, out, e);

	if (err && where[0] == ':' && errno == EAFNOSUPPORT) {
		in_port_t port = a->v6.sin6_port;

		a->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
		*len = sizeof a->v4;
		err = open_one(a, *len, true, where, out, e);
	}
	return err;
}

static void close_all(int *fds, int count)
{
	while (count > 0)
		close(fds[--count]);
}

enum err listen_open(const char *where, int count, int *fds, int *port, struct errinfo *e)
{
	union address a;
	socklen_t len;
	enum err err;
	int n;

	err = resolve(where, &a, &len, e);
	if (err)
		return err;
	err = open_first(&a, &len, where, &fds[0], e);
	if (err)
		return err;
	/* Port 0 has become a real one now, and the others need the same. */
	getsockname(fds[0], &a.any, &len);
	for (n = 1; n < count && !err; n++)
		err = open_one(&a, len, false, where, &fds[n], e);
	if (err)
		n--;
	for (int i = 0; i < n && !err; i++)
		if (listen(fds[i], LISTEN_BACKLOG) < 0)
			err = failed("listen", where, e);
	if (err) {
		close_all(fds, n);
		return err;
	}
	*port = ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
	return OK;
}
