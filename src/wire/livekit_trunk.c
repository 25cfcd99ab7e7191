/* The settings of a trunk that LiveKit serves, as they stand in trunks.config: strict,
 * because a misspelt member would otherwise change nothing, silently, and a value that LiveKit
 * or SIP cannot use would fail every call of the trunk. Secrets are named here, never held: the
 * database keeps none. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_livekit.h"

#define WAIT_MAX_S    300
#define TEXT_MAX      256
#define HEADER_MAX    1024

#define DIGITS  "0123456789"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LETTERS CAPITALS "abcdefghijklmnopqrstuvwxyz"

static void decref(json_t **v)
{
	json_decref(*v);
}

/* They would end the line that it becomes in the INVITE, and begin another. */
static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

static enum err read_text(const char *name, const json_t *v, char **out, struct errinfo *e)
{
	if (!json_is_string(v) || json_string_length(v) > TEXT_MAX)
		return err_set(e, ERR_INVALID, "%s must be a text of at most %d bytes", name, TEXT_MAX);
	if (has_control(json_string_value(v)) || strlen(json_string_value(v)) != json_string_length(v))
		return err_set(e, ERR_INVALID, "%s must not have control characters", name);
	*out = xstrdup(json_string_value(v));
	return OK;
}

static bool is_port(const char *s)
{
	size_t n = strspn(s, DIGITS);

	return n > 0 && n <= 5 && !s[n] && atoi(s) >= 1 && atoi(s) <= 65535;
}

/* Labels of letters, digits and hyphens, which an IPv4 address consists of too. */
static bool is_name(const char *s, size_t len)
{
	size_t label = 0;

	for (size_t i = 0; i < len; i++) {
		bool last = i + 1 == len || s[i + 1] == '.';

		if (s[i] == '.' ? label == 0 : !strchr(LETTERS DIGITS "-_", s[i]) || (s[i] == '-' && (label == 0 || last)))
			return false;
		label = s[i] == '.' ? 0 : label + 1;
	}
	return label > 0;
}

/* LiveKit makes the INVITE's address of it, and takes neither a scheme nor parameters. */
static bool is_host(const char *s)
{
	size_t n = *s == '[' ? strspn(s + 1, "0123456789abcdefABCDEF:.") + 2 : strcspn(s, ":");

	if (*s == '[' ? n < 4 || s[n - 1] != ']' : !is_name(s, n))
		return false;
	return !s[n] || (s[n] == ':' && is_port(s + n + 1));
}

static enum err read_host(const char *name, const json_t *v, char **out, struct errinfo *e)
{
	enum err err = read_text(name, v, out, e);

	if (!err && !is_host(*out))
		err = err_set(e, ERR_INVALID, "%s must be a host or host:port, like sip.example.org:5061, and nothing else", name);
	return err;
}

static enum err read_country(const char *name, const json_t *v, char **out, struct errinfo *e)
{
	enum err err = read_text(name, v, out, e);

	if (!err && (strlen(*out) != 2 || strspn(*out, CAPITALS) != 2))
		err = err_set(e, ERR_INVALID, "%s must be two capital letters, like US (ISO 3166-1)", name);
	return err;
}

/* A name of a setting, not a secret: only those meant for it can be named. */
static enum err read_secret_name(const char *name, const json_t *v, char **out, struct errinfo *e)
{
	enum err err = read_text(name, v, out, e);

	if (!err && (!str_has_prefix(*out, "LIVEKIT_") ||
	             strspn(*out, CAPITALS DIGITS "_") != strlen(*out)))
		err = err_set(e, ERR_INVALID, "%s must name an environment variable that begins with LIVEKIT_", name);
	return err;
}

/* "udp" becomes the proto's name: LiveKit takes an unknown one silently for none at all. */
static enum err read_choice(const char *name, const json_t *v, const char *const choices[][2], char **out,
                            struct errinfo *e)
{
	char known[96] = "";

	for (size_t i = 0; choices[i][0]; i++) {
		if (json_is_string(v) && str_eq(json_string_value(v), choices[i][0])) {
			*out = xstrdup(choices[i][1]);
			return OK;
		}
		snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", choices[i][0]);
	}
	return err_set(e, ERR_INVALID, "%s must be one of %s", name, known);
}

/* LiveKit's or the SIP stack's own, long and short; and the one that callgate puts there. */
static bool is_taken(const char *name)
{
	static const char *const taken[] = {
		"From", "f", "To", "t", "Via", "v", "Call-ID", "i", "CSeq", "Contact", "m", "Max-Forwards", "Route",
		"Record-Route", "Reply-To", "Allow", "Require", "Supported", "k", "Authorization", "Proxy-Authorization",
		"Session-Expires", "x", "Min-SE", "l", "c", "e", "X-Gw-Attempt",
	};

	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		if (strcasecmp(name, taken[i]) == 0)
			return true;
	return strncasecmp(name, "Content-", 8) == 0;
}

static enum err check_header(const char *name, const char *value, const struct wire_livekit_trunk *t, struct errinfo *e)
{
	if (!*name || strspn(name, LETTERS DIGITS "-.!%*_+`'~") != strlen(name))
		return err_set(e, ERR_INVALID, "headers: \"%.64s\" is no name of a SIP header", name);
	if (is_taken(name))
		return err_set(e, ERR_INVALID, "headers: %.64s is not one that a trunk may set", name);
	for (int i = 0; i < t->n_headers; i++)
		if (strcasecmp(name, t->header_names[i]) == 0)
			return err_set(e, ERR_INVALID, "headers: %.64s is there twice", name);
	if (has_control(value))
		return err_set(e, ERR_INVALID, "headers: the value of %.64s must not have control characters", name);
	return OK;
}

static enum err read_headers(const json_t *v, struct wire_livekit_trunk *out, struct errinfo *e)
{
	const char *key;
	json_t *value;
	enum err err;

	if (!json_is_object(v) || json_object_size(v) > WIRE_LIVEKIT_HEADERS_MAX)
		return err_set(e, ERR_INVALID, "headers must be an object of at most %d members", WIRE_LIVEKIT_HEADERS_MAX);
	json_object_foreach((json_t *)(uintptr_t)v, key, value) {
		if (strlen(key) > TEXT_MAX - 1 || !json_is_string(value) || json_string_length(value) > HEADER_MAX)
			return err_set(e, ERR_INVALID, "headers: names have at most %d, values %d bytes", TEXT_MAX - 1, HEADER_MAX);
		err = check_header(key, json_string_value(value), out, e);
		if (err)
			return err;
		out->header_names[out->n_headers] = xstrdup(key);
		out->header_values[out->n_headers++] = xstrdup(json_string_value(value));
	}
	return OK;
}

static enum err read_wait(const json_t *v, struct wire_livekit_trunk *out, struct errinfo *e)
{
	json_int_t s = json_integer_value(v);

	if (!json_is_integer(v) || s < 0 || s > WAIT_MAX_S)
		return err_set(e, ERR_INVALID, "waitForAgentSeconds must be a whole number from 0 to %d", WAIT_MAX_S);
	out->wait_for_agent_s = (int)s;
	return OK;
}

static enum err read_member(const char *key, const json_t *v, struct wire_livekit_trunk *t, struct errinfo *e)
{
	static const char *const transports[][2] = {
		{ "auto", "SIP_TRANSPORT_AUTO" }, { "udp", "SIP_TRANSPORT_UDP" }, { "tcp", "SIP_TRANSPORT_TCP" },
		{ "tls", "SIP_TRANSPORT_TLS" }, { NULL, NULL },
	};
	static const char *const encryptions[][2] = {
		{ "disable", "SIP_MEDIA_ENCRYPT_DISABLE" }, { "allow", "SIP_MEDIA_ENCRYPT_ALLOW" },
		{ "require", "SIP_MEDIA_ENCRYPT_REQUIRE" }, { NULL, NULL },
	};
	const struct { const char *name; char **to; } texts[] = {
		{ "url", &t->url }, { "apiKey", &t->api_key }, { "authUsername", &t->auth_username },
		{ "displayName", &t->display_name },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (str_eq(key, texts[i].name))
			return read_text(key, v, texts[i].to, e);
	if (str_eq(key, "hostname"))
		return read_host(key, v, &t->hostname, e);
	if (str_eq(key, "fromHost"))
		return read_host(key, v, &t->from_host, e);
	if (str_eq(key, "destinationCountry"))
		return read_country(key, v, &t->destination_country, e);
	if (str_eq(key, "apiSecretEnv"))
		return read_secret_name(key, v, &t->api_secret_name, e);
	if (str_eq(key, "authPasswordEnv"))
		return read_secret_name(key, v, &t->auth_password_name, e);
	if (str_eq(key, "transport"))
		return read_choice(key, v, transports, &t->transport, e);
	if (str_eq(key, "mediaEncryption"))
		return read_choice(key, v, encryptions, &t->media_encryption, e);
	if (str_eq(key, "headers"))
		return read_headers(v, t, e);
	if (str_eq(key, "waitForAgentSeconds"))
		return read_wait(v, t, e);
	return err_set(e, ERR_INVALID, "\"%.64s\" is not a setting of a livekit trunk", key);
}

static enum err check_whole(const struct wire_livekit_trunk *t, struct errinfo *e)
{
	int project = (t->url != NULL) + (t->api_key != NULL) + (t->api_secret_name != NULL);

	if (project != 0 && project != 3)
		return err_set(e, ERR_INVALID, "url, apiKey and apiSecretEnv belong together: give all three or none");
	if (!t->hostname && (t->transport || t->auth_username || t->auth_password_name || t->from_host ||
	                     t->destination_country))
		return err_set(e, ERR_INVALID, "transport, authUsername and the like describe a trunk by hostname, which is missing");
	if ((t->auth_username != NULL) != (t->auth_password_name != NULL))
		return err_set(e, ERR_INVALID, "authUsername and authPasswordEnv belong together: give both or none");
	if ((t->api_key && !*t->api_key) || (t->auth_username && !*t->auth_username))
		return err_set(e, ERR_INVALID, "%s must not be empty", t->api_key && !*t->api_key ? "apiKey" : "authUsername");
	return OK;
}

enum err wire_livekit_trunk_read(const char *json, struct wire_livekit_trunk *out, struct errinfo *e)
{
	CLEANUP(decref) json_t *root = NULL;
	json_error_t error;
	const char *key;
	json_t *value;
	enum err err;

	*out = (struct wire_livekit_trunk){ 0 };
	root = json_loads(json, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root))
		return err_set(e, ERR_INVALID, "the trunk's config is not a JSON object");
	json_object_foreach(root, key, value) {
		err = read_member(key, value, out, e);
		if (err)
			return err;
	}
	return check_whole(out, e);
}

void wire_livekit_trunk_done(struct wire_livekit_trunk *t)
{
	free(t->url);
	free(t->api_key);
	free(t->api_secret_name);
	free(t->hostname);
	free(t->transport);
	free(t->auth_username);
	free(t->auth_password_name);
	free(t->from_host);
	free(t->destination_country);
	free(t->display_name);
	free(t->media_encryption);
	for (int i = 0; i < t->n_headers; i++) {
		free(t->header_names[i]);
		free(t->header_values[i]);
	}
	*t = (struct wire_livekit_trunk){ 0 };
}
