/* See callgate/wire_livekit_stored.h. Passwords are in what is read here too; nobody looks. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/jsonw.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_livekit_stored.h"

static void decref(json_t **v)
{
	json_decref(*v);
}

void wire_livekit_list_trunks(struct buf *b, const char *trunk_id)
{
	if (!trunk_id) {
		JSONW_LIT(b, "{\"page\":{\"limit\":1}}");
		return;
	}
	JSONW_LIT(b, "{\"trunk_ids\":[");
	jsonw_str(b, trunk_id);
	JSONW_LIT(b, "]}");
}

/* Which version of LiveKit's protocol added what: created_at came with 1.10.0, media with
 * 1.13.2; 1.9.12 and 1.13.1 were the last without. */
static enum wire_livekit_age age_of(const json_t *trunk)
{
	if (json_object_get(trunk, "media"))
		return LIVEKIT_SINCE_1_13_2;
	if (json_object_get(trunk, "created_at") || json_object_get(trunk, "createdAt"))
		return LIVEKIT_BEFORE_1_13_2;
	return LIVEKIT_BEFORE_1_10;
}

/* Some write numbers without the plus. */
static const char *digits(const char *number)
{
	return number + strspn(number, "+");
}

/* "*" stands for any; so does an empty list, for callgate names the caller in every dial. */
static bool names_number(const json_t *listed, const char *number)
{
	json_t *item;
	size_t i;

	json_array_foreach(listed, i, item) {
		const char *s = json_string_value(item);

		if (s && (str_eq(s, "*") || str_eq(digits(s), digits(number))))
			return true;
	}
	return json_array_size(listed) == 0;
}

static void compare_numbers(const json_t *trunk, const char *numbers, struct wire_livekit_stored *out)
{
	const json_t *listed = json_object_get(trunk, "numbers");
	CLEANUP(freep) char *copy = xstrdup(numbers);
	char *next = copy, *number;

	while ((number = strsep(&next, " "))) {
		if (!*number || names_number(listed, number))
			continue;
		if (out->n_unlisted++ == 0)
			str_copy(out->unlisted, sizeof out->unlisted, number);
	}
}

static const char *text_of(const json_t *v)
{
	return json_is_string(v) ? json_string_value(v) : "";
}

static bool has_id(const json_t *trunk, const char *id)
{
	return str_eq(text_of(json_object_get(trunk, "sip_trunk_id")), id) ||
	       str_eq(text_of(json_object_get(trunk, "sipTrunkId")), id);
}

bool wire_livekit_stored_read(const char *body, size_t len, const char *trunk_id, const char *numbers,
                              struct wire_livekit_stored *out)
{
	CLEANUP(decref) json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *item;
	size_t i;

	*out = (struct wire_livekit_stored){ 0 };
	if (!json_is_object(root))
		return false;
	json_array_foreach(json_object_get(root, "items"), i, item) {
		if (out->found || (trunk_id && !has_id(item, trunk_id)))
			continue;
		out->found = true;
		out->age = age_of(item);
		str_copy(out->address, sizeof out->address, text_of(json_object_get(item, "address")));
		compare_numbers(item, numbers, out);
	}
	return true;
}
