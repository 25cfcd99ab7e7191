/* One question, one answer: for a command that asks and ends. */
#include "callgate/httpc.h"

#include <curl/curl.h>

#include "callgate/mem.h"
#include "callgate/text.h"

static void easy_freep(CURL **c)
{
	curl_easy_cleanup(*c);
}

/* What does not fit is taken and forgotten: the status is the answer, the body is only
 * for people. */
static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	buf_add(arg, bytes, size * n);
	return size * n;
}

static void list_freep(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

/* False when memory ran out within libcurl. */
static bool set_request(CURL *c, const struct httpc_request *rq, struct curl_slist **list)
{
	for (const char *const *h = rq->headers; h && *h; h++) {
		struct curl_slist *more = curl_slist_append(*list, *h);

		if (!more)
			return false;
		*list = more;
	}
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, *list);
	if (!str_eq(rq->method, "GET")) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, rq->body);      /* stays ours, and lives long enough */
	}
	/* As net does, for what a command finds must hold for the gateway: not the system's folder too. */
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	if (rq->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, rq->ca_file);
	return curl_easy_setopt(c, CURLOPT_URL, rq->url) == CURLE_OK;
}

enum err httpc_ask(const struct httpc_request *rq, int *status, struct buf *body, struct errinfo *e)
{
	CLEANUP(easy_freep) CURL *c = curl_easy_init();
	CLEANUP(list_freep) struct curl_slist *headers = NULL;
	char words[CURL_ERROR_SIZE] = "";
	long code = 0;
	CURLcode rc;

	if (!c || !set_request(c, rq, &headers))
		return err_set(e, ERR_INTERNAL, "libcurl cannot start");
	buf_clear(body);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);    /* its time is over then, whatever a server of names does */
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)rq->timeout_ms);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, words);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
	rc = curl_easy_perform(c);
	if (rc != CURLE_OK)
		return err_set(e, ERR_UNAVAILABLE, "%s: %s", rq->url, *words ? words : curl_easy_strerror(rc));
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
	*status = (int)code;
	return OK;
}

enum err httpc_get(const char *url, int timeout_ms, int *status, struct buf *body, struct errinfo *e)
{
	const struct httpc_request rq = { .method = "GET", .url = url, .timeout_ms = timeout_ms };

	return httpc_ask(&rq, status, body, e);
}
