/* Inside `net`: whom requests go to, and how many at once. Short requests to one host go over
 * a few connections that are used again; what is more waits here, in order, within its own
 * time. Without that ten thousand calls begun at once would open as many connections, and
 * libcurl's work on each answer grows with their number. Each host for itself: one that has
 * died holds up nobody who asks another. */
#ifndef NET_HOST_H
#define NET_HOST_H

#include "transfer.h"

#define HOST_REQUESTS_MAX 64

struct host {
	char                 *origin;   /* "https://host:port" */
	int                   running;
	struct transfer_queue waiting;
	LIST_ENTRY(host)      link;
};
LIST_HEAD(host_list, host);

/* The host of a URL, made when it is new. */
struct host *host_of(struct host_list *hosts, const char *url);

/* Takes a place; false: all are taken, and the transfer waits. */
bool host_enter(struct host *h, struct transfer *t);
/* Gives the place back. The transfer whose turn it is now has it already, or NULL. A host
 * nobody asks any more is freed. */
struct transfer *host_leave(struct host *h);
/* One that has waited past its time, taken out; NULL: none (any more). */
struct transfer *host_expired(struct host *h, int64_t now_ms);
/* Any one that waits, taken out; for the end. */
struct transfer *host_take(struct host *h);

#endif
