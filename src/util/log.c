/* Logs. A line is built on the stack and leaves in one write(2) of at most a pipe's
 * atomic size, so lines of several threads and processes never mix and no lock is held
 * while standard error is slow.
 *
 * Values come from outside: telephone networks, providers, clients. Whatever they hold,
 * a line stays one line, valid UTF-8, valid JSON, and harmless to a terminal: control
 * characters are escaped, broken bytes become U+FFFD, long values are cut with "…", and
 * fields that do not fit any more are left out whole and the line says so. */
#include "callgate/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "utf8.h"

#define LINE_MAX_BYTES  4096            /* PIPE_BUF: what a pipe takes in one piece */
#define VALUE_MAX_BYTES 512             /* of the value, before escaping            */
#define TAIL_BYTES      16              /* kept free for `,"cut":true}` and the end */
_Static_assert(LINE_MAX_BYTES <= PIPE_BUF, "a longer line could be torn");

static const char *const levels[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO]  = "info",
	[LOG_LEVEL_WARN]  = "warn",
	[LOG_LEVEL_ERROR] = "error",
};

static enum log_level least = LOG_LEVEL_INFO;
static bool           as_json;

struct line {
	char  *out;
	size_t max;             /* room for text, tail and NUL not counted */
	size_t len;
	bool   over;
};

static void put(struct line *l, const char *bytes, size_t n)
{
	if (l->over || n > l->max - l->len) {
		l->over = true;
		return;
	}
	memcpy(l->out + l->len, bytes, n);
	l->len += n;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

static void put_int(struct line *l, int64_t v)
{
	char digits[20];
	char *p = digits + sizeof digits;
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (v < 0)
		*--p = '-';
	put(l, p, (size_t)(digits + sizeof digits - p));
}

/* C0, DEL and C1: a terminal would obey them. U+0080 to U+009F are C2 80 to C2 9F. */
static bool is_control(const char *s, size_t n)
{
	const unsigned char *c = (const unsigned char *)s;

	return n == 1 ? c[0] < 0x20 || c[0] == 0x7f : n == 2 && c[0] == 0xc2 && c[1] < 0xa0;
}

static void put_escaped(struct line *l, const char *s, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char c = (unsigned char)s[n - 1];      /* C1: the code is the second byte */
	char u[] = "\\u0000";

	if (c == '\n') {
		put_str(l, "\\n");
	} else if (c == '\r') {
		put_str(l, "\\r");
	} else if (c == '\t') {
		put_str(l, "\\t");
	} else {
		u[4] = digits[c >> 4];
		u[5] = digits[c & 15];
		put_str(l, u);
	}
}

/* A JSON string; the text format quotes the same way. */
static void put_quoted(struct line *l, const char *s)
{
	size_t len = strlen(s);

	put_str(l, "\"");
	for (size_t i = 0; i < len;) {
		size_t n = utf8_char(s + i, len - i);

		if (i + n > VALUE_MAX_BYTES) {
			put_str(l, "…");
			break;
		}
		if (n == 0) {
			put_str(l, "\xef\xbf\xbd");
			n = 1;
		} else if (is_control(s + i, n)) {
			put_escaped(l, s + i, n);
		} else {
			if (s[i] == '"' || s[i] == '\\')
				put_str(l, "\\");
			put(l, s + i, n);
		}
		i += n;
	}
	put_str(l, "\"");
}

/* Whether a value can stand bare after "name=": visible ASCII that cannot be taken for
 * a quote, another pair, or the word for no value. */
static bool is_bare(const char *s)
{
	if (!*s || strcmp(s, "null") == 0)
		return false;
	for (size_t n = 0; *s; s++, n++)
		if (*s <= ' ' || *s > '~' || *s == '"' || *s == '\\' || *s == '=' ||
		    n == VALUE_MAX_BYTES)
			return false;
	return true;
}

static void put_value(struct line *l, bool json, const char *s)
{
	if (!s)
		put_str(l, "null");
	else if (!json && is_bare(s))
		put_str(l, s);
	else
		put_quoted(l, s);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The last two digits, if enough stays hidden; else, and for what is no number, none. */
static void put_tel(struct line *l, bool json, const char *s)
{
	char shown[] = "***00";
	size_t len = s ? strlen(s) : 0;

	if (len >= 6 && is_digit(s[len - 2]) && is_digit(s[len - 1]))
		memcpy(shown + 3, s + len - 2, 2);
	else
		shown[3] = '\0';
	put_value(l, json, s ? shown : NULL);
}

static void put_said(struct line *l, bool json, const char *s)
{
	char hushed[VALUE_MAX_BYTES + 4];       /* one that is cut shows it */

	if (s)
		str_hush(hushed, sizeof hushed, s);
	put_value(l, json, s ? hushed : NULL);
}

static void put_field(struct line *l, bool json, const struct log_field *f)
{
	char id[ID_TEXT_SIZE];

	if (json) {
		put_str(l, ",");
		put_quoted(l, f->name);
		put_str(l, ":");
	} else {
		put_str(l, " ");
		put_str(l, f->name);
		put_str(l, "=");
	}
	switch (f->type) {
	case LOG_TYPE_STR:
		put_value(l, json, f->str);
		break;
	case LOG_TYPE_INT:
		put_int(l, f->num);
		break;
	case LOG_TYPE_ID:
		id_format(&f->id, id);
		put_value(l, json, id);
		break;
	case LOG_TYPE_TEL:
		put_tel(l, json, f->str);
		break;
	case LOG_TYPE_SAID:
		put_said(l, json, f->str);
		break;
	}
}

static void put_head(struct line *l, bool json, const char *time, enum log_level level,
                     const char *name)
{
	if (!json) {
		if (time) {
			put_str(l, time);
			put_str(l, " ");
		}
		put_str(l, levels[level]);
		put_str(l, " ");
		put_str(l, name);
		return;
	}
	put_str(l, "{");
	if (time) {
		put_str(l, "\"time\":");
		put_quoted(l, time);
		put_str(l, ",");
	}
	put_str(l, "\"level\":");
	put_quoted(l, levels[level]);
	put_str(l, ",\"event\":");
	put_quoted(l, name);
}

/* Returns bytes written, the line's end counted; 0 when not even the head fits. */
static size_t render(char *out, size_t size, bool json, const char *time, enum log_level level,
                     const char *name, const struct log_field *fields, size_t n)
{
	struct line l = { .out = out, .max = size > TAIL_BYTES ? size - TAIL_BYTES : 0 };

	put_head(&l, json, time, level, name);
	if (l.over) {
		if (size > 0)
			out[0] = '\0';
		return 0;
	}
	for (size_t i = 1; i < n && !l.over; i++) {
		size_t before = l.len;

		put_field(&l, json, &fields[i]);
		if (l.over)
			l.len = before;
	}
	l.max = size - 1;               /* the tail has its room */
	if (l.over) {
		l.over = false;
		put_str(&l, json ? ",\"cut\":true" : " cut=true");
	}
	put_str(&l, json ? "}\n" : "\n");
	out[l.len] = '\0';
	return l.len;
}

void log_setup(enum log_level level, bool json)
{
	least = level;
	as_json = json;
}

bool log_level_parse(const char *s, enum log_level *out)
{
	for (size_t i = 0; s && i < ARRAY_LEN(levels); i++) {
		if (str_case_eq(s, levels[i])) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_enabled(enum log_level level)
{
	return level >= least;
}

/* Whoever reads the log may stop to (a terminal after Ctrl-S, a log driver that hangs), and
 * nothing here may wait for that: a line waits a moment, and while the reader is known not
 * to read, none does. What was dropped is counted, and told when there is room again. A line
 * is shorter than PIPE_BUF, so "writable" means that all of it fits. */
#define PATIENCE_MS 20

static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;
static bool congested;
static int64_t dropped;

static bool put_out(const char *text, size_t len)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t written;

	if (poll(&p, 1, congested ? 0 : PATIENCE_MS) == 0)
		return false;
	do
		written = write(STDERR_FILENO, text, len);
	while (written < 0 && errno == EINTR);
	return true;            /* or lost: there is nowhere left to say so */
}

static void tell_dropped(const char time[RFC3339_SIZE])
{
	const struct log_field fields[] = { { .name = NULL }, LOG_INT("lines", dropped) };
	char text[256];
	size_t len = render(text, sizeof text, as_json, time, LOG_LEVEL_WARN, "log.dropped", fields, ARRAY_LEN(fields));

	if (put_out(text, len))
		dropped = 0;
}

void log_write(enum log_level level, const char *name, const struct log_field *fields, size_t n)
{
	char text[LINE_MAX_BYTES];
	char time[RFC3339_SIZE];
	int saved = errno;
	size_t len;

	time_format(wall_ms(), time);
	len = render(text, sizeof text, as_json, time, level, name, fields, n);
	pthread_mutex_lock(&out_lock);
	if (dropped)
		tell_dropped(time);
	congested = dropped || (len > 0 && !put_out(text, len));
	dropped += congested;
	pthread_mutex_unlock(&out_lock);
	errno = saved;
}

size_t log_render(char *out, size_t size, bool json, enum log_level level, const char *name,
                  const struct log_field *fields, size_t n)
{
	return render(out, size, json, NULL, level, name, fields, n);
}
