/* Authorization: Bearer KEY. Only the digest of a key goes on from here. */
#include "auth.h"

#include <string.h>
#include <strings.h>

/* What follows the scheme, without the blanks around it; NULL: no or another scheme. */
static const char *bearer_token(const char *header, size_t *len)
{
	static const char scheme[] = "Bearer ";
	const char *token;

	header += strspn(header, " \t");
	if (strncasecmp(header, scheme, strlen(scheme)) != 0)
		return NULL;
	token = header + strlen(scheme);
	token += strspn(token, " \t");
	*len = strlen(token);
	while (*len > 0 && (token[*len - 1] == ' ' || token[*len - 1] == '\t'))
		--*len;
	return token;
}

enum api_error auth_key(const struct http_request *rq, unsigned kinds, struct caller *out)
{
	const char *header = http_header(rq, "Authorization");
	const char *token;
	enum key_kind kind;
	size_t len;

	if (!header)
		return API_CREDENTIALS_MISSING;
	token = bearer_token(header, &len);
	if (!token || len == 0)
		return API_CREDENTIALS_MISSING;
	if (!key_parse(token, len, &kind, &out->org) || !(kinds & KEY_BIT(kind)))
		return API_CREDENTIALS_INVALID;
	sha256(token, len, out->hash);
	return API_OK;
}
