/* One question, one answer: for a command that asks and ends. */
#include "callgate/httpc.h"

#include <curl/curl.h>

#include "callgate/mem.h"

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

enum err httpc_get(const char *url, int timeout_ms, int *status, struct buf *body, struct errinfo *e)
{
	CLEANUP(easy_freep) CURL *c = curl_easy_init();
	char words[CURL_ERROR_SIZE] = "";
	long code = 0;
	CURLcode rc;

	if (!c)
		return err_set(e, ERR_INTERNAL, "libcurl cannot start");
	buf_clear(body);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, words);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
	rc = curl_easy_perform(c);
	if (rc != CURLE_OK)
		return err_set(e, ERR_UNAVAILABLE, "%s: %s", url, *words ? words : curl_easy_strerror(rc));
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
	*status = (int)code;
	return OK;
}
