/* Any header as Accept: its walk ends, within the header, and the wish does not depend on the
 * white space around it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "callgate/mem.h"
#include "callgate/problem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *s = xstrndup((const char *)data, size);
	CLEANUP(freep) char *wide = xmalloc(size + 8);

	snprintf(wide, size + 8, " \t%s", s);
	if (problem_wanted(s) != problem_wanted(wide))
		abort();
	return 0;
}
