/* The settings of a trunk that LiveKit serves, as they stand in trunks.config: strict,
 * because a misspelt member would otherwise change nothing, silently. Secrets are named
 * here, never held: the database keeps none. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_livekit.h"

#define WAIT_MAX_S    300
#define TEXT_MAX      256
#define HEADER_MAX    1024

static void decref(json_t **v)
{
	json_decref(*v);
}

static enum err read_text(const char *name, const json_t *v, char **out, struct errinfo *e)
{
	if (!json_is_string(v) || json_string_length(v) > TEXT_MAX)
		return err_set(e, ERR_INVALID, "%s must be a text of at most %d bytes", name, TEXT_MAX);
	*out = xstrdup(json_string_value(v));
	return OK;
}

/* A name of a setting, not a secret: only those meant for it can be named. */
static enum err read_secret_name(const char *name, const json_t *v, char **out, struct errinfo *e)
{
	enum err err = read_text(name, v, out, e);

	if (!err && (!str_has_prefix(*out, "LIVEKIT_") ||
	             strspn(*out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(*out)))
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

static enum err read_headers(const json_t *v, struct wire_livekit_trunk *out, struct errinfo *e)
{
	const char *key;
	json_t *value;

	if (!json_is_object(v) || json_object_size(v) > WIRE_LIVEKIT_HEADERS_MAX)
		return err_set(e, ERR_INVALID, "headers must be an object of at most %d members", WIRE_LIVEKIT_HEADERS_MAX);
	json_object_foreach((json_t *)(uintptr_t)v, key, value) {
		if (strlen(key) > TEXT_MAX - 1 || !json_is_string(value) || json_string_length(value) > HEADER_MAX)
			return err_set(e, ERR_INVALID, "headers: names have at most %d, values %d bytes", TEXT_MAX - 1, HEADER_MAX);
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
		{ "url", &t->url }, { "apiKey", &t->api_key }, { "hostname", &t->hostname },
		{ "authUsername", &t->auth_username }, { "fromHost", &t->from_host },
		{ "destinationCountry", &t->destination_country }, { "displayName", &t->display_name },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (str_eq(key, texts[i].name))
			return read_text(key, v, texts[i].to, e);
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
