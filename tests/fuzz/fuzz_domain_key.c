/* The key parser: bounded by its length, and what it accepts begins with a prefix of the
 * kind it names. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/key.h"

static bool begins_with(const uint8_t *data, size_t size, const char *prefix)
{
	return size >= strlen(prefix) && memcmp(data, prefix, strlen(prefix)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[KEY_TEXT_SIZE], hint[KEY_HINT_SIZE];
	enum key_kind kind;
	int64_t org;

	if (!key_parse((const char *)data, size, &kind, &org))
		return 0;
	if (size >= KEY_TEXT_SIZE || org <= 0)
		abort();
	if (!begins_with(data, size, key_prefix(kind, false)) &&
	    !begins_with(data, size, key_prefix(kind, true)))
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	key_hint(text, hint);
	if (strlen(hint) < 8)
		abort();
	return 0;
}
