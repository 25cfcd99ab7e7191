/* One exchange: how libcurl is told of it, and what its end means.
 *
 * Whether a request left is not read from libcurl's result, which says what went wrong and
 * not when, nor from its times: "pretransfer" is noted after the first bytes were written.
 * libcurl asks us immediately before it writes a request (CURLOPT_PREREQFUNCTION), each
 * time anew when it repeats one by itself. Never asked: it certainly never left. Asked a
 * second time about a request that must go once: refused. */
#include "transfer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/text.h"

/* A ringing call waits with these allocated; answers are a few hundred bytes. With TLS
 * libcurl also takes an upload buffer, of 16 KiB at least. */
#define RECEIVE_BUFFER 1024L
#define UPLOAD_BUFFER  16384L

static int about_to_send(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct transfer *t = arg;

	(void)ip, (void)local_ip, (void)port, (void)local_port;
	if (t->once && t->sent > 0)
		return CURL_PREREQFUNC_ABORT;
	t->sent++;
	return CURL_PREREQFUNC_OK;
}

/* A longer body ends the exchange: somebody who streams without end must not be listened
 * to until the time is over. */
static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t room = t->answer.max - t->answer.len;

	n *= size;
	if (n <= room) {
		buf_add(&t->answer, bytes, n);
		return n;
	}
	buf_add(&t->answer, bytes, room);
	t->cut = true;
	return 0;
}

static bool add_headers(struct transfer *t, const char *const *headers)
{
	/* "Expect: 100-continue" costs a round trip, and a wait where nobody answers it. */
	t->headers = curl_slist_append(NULL, "Expect:");
	for (; t->headers && headers && *headers; headers++) {
		struct curl_slist *more = curl_slist_append(t->headers, *headers);

		if (!more)
			return false;
		t->headers = more;
	}
	return t->headers != NULL;
}

/* Everything that is the same for all: nobody's environment, files, proxies or redirects
 * decide where a request goes. */
static void set_manners(CURL *easy, const struct net_config *c)
{
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	/* It is told all addresses (names.h). Should it ever look one up by itself all the same, a request
	 * that is given up must not wait, with the net's one thread, for a server of names that is silent. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
	/* The folder of authorities that Debian's libcurl has besides: whoever names a file means that
	 * file only. And with a folder libcurl shares no parsed authorities between connections, which
	 * makes half a megabyte for each. */
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (c->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca_file);
	if (c->user_agent)
		curl_easy_setopt(easy, CURLOPT_USERAGENT, c->user_agent);
}

/* False when memory ran out within libcurl. */
static bool set_request(struct transfer *t, const struct net_request *rq)
{
	CURL *easy = t->easy;

	if (curl_easy_setopt(easy, CURLOPT_URL, rq->url) != CURLE_OK)
		return false;
	if (str_eq(rq->method, "GET")) {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	} else {
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body_len);
		if (curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, rq->body ? rq->body : "") != CURLE_OK ||
		    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, rq->method) != CURLE_OK)
			return false;
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)rq->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)rq->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->words);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, about_to_send);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
	if (rq->once) {
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	}
	return true;
}

/* As libcurl will look for it. A URL that says nothing it can use is refused by itself, later. */
static void read_name(struct transfer *t)
{
	CURLU *url = curl_url();
	char *host = NULL, *port = NULL;
	struct in_addr ignored;
	int64_t n;

	if (url && curl_url_set(url, CURLUPART_URL, t->url, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_HOST, &host, CURLU_PUNYCODE) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	    parse_int(port, 1, 65535, &n) && host[0] != '[' && inet_pton(AF_INET, host, &ignored) != 1) {
		t->name = xstrdup(host);
		t->port = (int)n;
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
}

bool transfer_set_addresses(struct transfer *t, const char *addresses)
{
	CLEANUP(buf_done) struct buf line;

	buf_init(&line, 2048);
	buf_printf(&line, "%s:%d:%s", t->name, t->port, addresses);
	curl_slist_free_all(t->addresses);
	t->addresses = line.over ? NULL : curl_slist_append(NULL, line.data);
	return t->addresses && curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->addresses) == CURLE_OK;
}

struct transfer *transfer_new(const struct net_request *rq, const struct net_config *c)
{
	struct transfer *t = xcalloc(1, sizeof *t);

	t->once = rq->once;
	t->url = xstrdup(rq->url);
	t->until_ms = mono_ms() + rq->timeout_ms;
	t->done = rq->done;
	t->arg = rq->arg;
	buf_init(&t->answer, rq->max_body_bytes);
	t->connect_timeout_ms = rq->connect_timeout_ms;
	read_name(t);
	t->easy = curl_easy_init();
	if (!t->easy || !add_headers(t, rq->headers) || !set_request(t, rq)) {
		transfer_free(t);
		return NULL;
	}
	set_manners(t->easy, c);
	return t;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->addresses);
	free(t->name);
	buf_done(&t->answer);
	free(t->url);
	free(t);
}

void transfer_judge(struct transfer *t, CURLcode rc, struct net_answer *out)
{
	const char *why = *t->words ? t->words : curl_easy_strerror(rc);
	long status = 0;

	*out = (struct net_answer){ .body = t->answer.data, .body_len = t->answer.len, .cut = t->cut };
	if (rc == CURLE_OK || t->cut) {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		out->status = (int)status;
		return;
	}
	out->err = t->sent ? ERR_UNCERTAIN : ERR_UNAVAILABLE;
	str_copy(out->words, sizeof out->words, why);
}
