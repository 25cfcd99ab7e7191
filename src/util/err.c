/* Outcomes: their names, and the words that go with them. Words may carry text of a
 * client, so what does not fit is cut between two characters, never inside one: the
 * text ends up in JSON answers and logs, where half a character is an error. */
#include "callgate/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "callgate/text.h"

static const char *const names[] = {
	[OK]              = "ok",
	[ERR_INVALID]     = "invalid",
	[ERR_DENIED]      = "denied",
	[ERR_NOT_FOUND]   = "not_found",
	[ERR_CONFLICT]    = "conflict",
	[ERR_LIMIT]       = "limit",
	[ERR_UNAVAILABLE] = "unavailable",
	[ERR_UNCERTAIN]   = "uncertain",
	[ERR_INTERNAL]    = "internal",
};
_Static_assert(sizeof names / sizeof *names == ERR_COUNT, "an outcome lacks its name");

const char *err_name(enum err err)
{
	return (unsigned)err < ERR_COUNT ? names[err] : "unknown";
}

/* One byte more than the text holds lets str_copy see that something was cut, also
 * where vsnprintf cut inside a character. */
struct words {
	char text[sizeof(((struct errinfo *)0)->text) + 4];
};

enum err err_set(struct errinfo *e, enum err err, const char *fmt, ...)
{
	struct words w;         /* apart from *e, which the arguments may point into */
	va_list ap;

	if (!e)
		return err;
	va_start(ap, fmt);
	if (vsnprintf(w.text, sizeof w.text, fmt, ap) < 0)
		w.text[0] = '\0';
	va_end(ap);
	str_copy(e->text, sizeof e->text, w.text);
	return err;
}

void err_prefix(struct errinfo *e, const char *fmt, ...)
{
	struct errinfo front;
	struct words w;
	size_t n;
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	if (vsnprintf(w.text, sizeof w.text, fmt, ap) < 0)
		w.text[0] = '\0';
	va_end(ap);
	str_copy(front.text, sizeof front.text, w.text);
	n = strlen(front.text);
	str_copy(front.text + n, sizeof front.text - n, e->text);
	*e = front;
}
