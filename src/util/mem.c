/* Allocation that does not fail. Where memory runs out, the process says so and ends:
 * accepted calls are rows, another process (or the next start) goes on with them. */
#include "callgate/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Neither stdio nor the log: both might allocate. */
static _Noreturn void die(void)
{
	static const char words[] = "callgate: out of memory\n";
	ssize_t written = write(STDERR_FILENO, words, sizeof words - 1);

	(void)written;
	abort();
}

/* Zero bytes become one, so that NULL always means failure. */
void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		die();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = n && size ? calloc(n, size) : calloc(1, 1);

	if (!p)
		die();
	return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
	size_t bytes;
	void *q;

	if (__builtin_mul_overflow(n, size, &bytes))
		die();
	q = realloc(p, bytes ? bytes : 1);
	if (!q)
		die();
	return q;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = xmalloc(len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

/* The cleanup attribute passes the address of the variable, whatever its type; memcpy
 * reads it without breaking the aliasing rules. */
void freep(void *pointer_to_pointer)
{
	void *p;

	memcpy(&p, pointer_to_pointer, sizeof p);
	free(p);
}
