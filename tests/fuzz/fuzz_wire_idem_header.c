/* Any header as Idempotency-Key: what is taken is a key, and the same one without its quotes
 * when it does not begin with one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *s = xstrndup((const char *)data, size);
	char key[WIRE_IDEM_KEY_SIZE], again[WIRE_IDEM_KEY_SIZE];

	if (!wire_idem_header(s, key))
		return 0;
	if (!wire_idem_key_ok(key, strlen(key)))
		abort();
	if (key[0] != '"' && (!wire_idem_header(key, again) || !str_eq(key, again)))
		abort();
	return 0;
}
