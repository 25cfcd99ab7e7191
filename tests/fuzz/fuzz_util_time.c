/* Any text as a time: what is taken can be written, and is the same time when read again. */
#include <stdint.h>
#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *s = xstrndup((const char *)data, size);
	char text[RFC3339_SIZE];
	int64_t ms, again;

	if (!time_parse(s, &ms))
		return 0;
	time_format(ms, text);
	if (!time_parse(text, &again) || again != ms)
		abort();
	return 0;
}
