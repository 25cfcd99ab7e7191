/* The number parser: the check and the test agree, and a suggested form is itself a number. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/e164.h"
#include "callgate/mem.h"
#include "callgate/text.h"

#define SUGGESTION "write it as "

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *s = xstrndup((const char *)data, size);
	struct errinfo e = { "" };
	const char *better;
	bool ok = e164_ok(s);

	if (ok != (e164_check(s, &e) == OK) || (ok && strlen(s) >= E164_SIZE))
		abort();
	if (!ok && (!e.text[0] || !utf8_ok(e.text, strlen(e.text))))
		abort();
	better = strstr(e.text, SUGGESTION);
	if (better && !e164_ok(better + strlen(SUGGESTION)))
		abort();
	if (e164_reserved_suffix(s) >= 0 && !ok)
		abort();
	return 0;
}
