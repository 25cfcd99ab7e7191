/* Inside `net`: one HTTP exchange, and the judgement of how it went. A transfer belongs to
 * whoever holds it: the sender until it is queued, the net's thread from then on. */
#ifndef NET_TRANSFER_H
#define NET_TRANSFER_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "callgate/buf.h"
#include "callgate/net.h"

struct transfer {
	CURL                *easy;
	struct curl_slist   *headers;
	struct buf           answer;
	bool                 once;
	bool                 cut;
	int                  sent;      /* times the request was about to leave */
	int                  lane;
	struct host         *host;      /* of a transfer that may have to wait; NULL: goes at once */
	char                *url;       /* until it has one */
	int64_t              until_ms;  /* mono */
	char                *name;      /* of the host; NULL: it has its address in the URL */
	int                  port;
	int64_t              name_until_ms;     /* mono; it must be known by then */
	int                  connect_timeout_ms;
	struct curl_slist   *addresses;
	net_done_fn         *done;
	void                *arg;
	char                 words[CURL_ERROR_SIZE];
	LIST_ENTRY(transfer) link;
	STAILQ_ENTRY(transfer) wait;
};
LIST_HEAD(transfer_list, transfer);
STAILQ_HEAD(transfer_queue, transfer);

/* NULL: libcurl has no handle for us. */
struct transfer *transfer_new(const struct net_request *rq, const struct net_config *c);
void             transfer_free(struct transfer *t);

/* "192.0.2.1,[2001:db8::1]": where its host is. False: libcurl has no memory for that. */
bool             transfer_set_addresses(struct transfer *t, const char *addresses) MUST_USE;

/* What `rc` means. Pure, as far as libcurl lets us: `out` borrows from the transfer. */
void transfer_judge(struct transfer *t, CURLcode rc, struct net_answer *out);

#endif
