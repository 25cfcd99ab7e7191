/* The file with settings. Its lines are what a shell would read as assignments, so that
 * one file serves `docker run --env-file`, `. file` and us: NAME=VALUE, quotes where they
 * are needed, '#' for comments. Nothing is expanded: a '$' is a '$', for a password that
 * has one must not change its meaning with the surroundings. */
#include "names.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"

#define FILE_MAX_BYTES (256 * 1024)
#define PAIRS_MAX 1000

enum err file_read(const char *path, size_t max, char **out, struct errinfo *e)
{
	CLEANUP(freep) char *text = xmalloc(max + 1);
	FILE *f = fopen(path, "re");
	size_t n;
	int broken;

	if (!f)
		return err_set(e, ERR_INVALID, "cannot open %s: %s", path, strerror(errno));
	n = fread(text, 1, max + 1, f);
	broken = ferror(f) ? errno : 0;
	fclose(f);
	if (broken)
		return err_set(e, ERR_INVALID, "cannot read %s: %s", path, strerror(broken));
	if (n > max)
		return err_set(e, ERR_INVALID, "%s is larger than %zu bytes", path, max);
	text[n] = '\0';
	if (strlen(text) != n)
		return err_set(e, ERR_INVALID, "%s is not text: it has a NUL byte", path);
	*out = TAKE(text);
	return OK;
}

static bool is_name(const char *s, size_t n)
{
	if (n == 0 || isdigit((unsigned char)s[0]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return false;
	}
	return true;
}

/* Takes the quotes off, in place, as a shell does: parts may be quoted one by one. False
 * when a quote is left open, or words follow the value. */
static bool unquote(char *s)
{
	char *to = s;
	char quote = '\0';

	for (; *s && (quote || !isspace((unsigned char)*s)); s++) {
		if (quote ? *s == quote : *s == '\'' || *s == '"')
			quote = quote ? '\0' : *s;
		else if (*s == '\\' && quote != '\'' && s[1])
			*to++ = *++s;
		else
			*to++ = *s;
	}
	while (isspace((unsigned char)*s))
		s++;
	if (quote || (*s && *s != '#'))
		return false;
	*to = '\0';
	return true;
}

static const char *line_read(struct pairs *p, char *line)
{
	char *value;

	while (isspace((unsigned char)*line))
		line++;
	if (*line == '\0' || *line == '#')
		return NULL;
	if (strncmp(line, "export ", 7) == 0)
		line += 7 + strspn(line + 7, " ");
	value = strchr(line, '=');
	if (!value || !is_name(line, (size_t)(value - line)))
		return "not of the form NAME=VALUE";
	*value++ = '\0';
	if (!unquote(value))
		return "a quote is left open, or a value with spaces is not quoted";
	if (p->n == PAIRS_MAX)
		return "too many lines";
	p->items = xrealloc(p->items, p->n + 1, sizeof *p->items);
	p->items[p->n++] = (struct pair){ xstrdup(line), xstrdup(value) };
	return NULL;
}

void pairs_read(struct pairs *p, const char *path, struct buf *mistakes)
{
	CLEANUP(freep) char *text = NULL;
	struct errinfo e;
	char *next;
	int number = 0;

	if (file_read(path, FILE_MAX_BYTES, &text, &e) != OK) {
		buf_printf(mistakes, "CALLGATE_ENV_FILE: %s\n", e.text);
		return;
	}
	next = text;
	while (next) {
		const char *wrong = line_read(p, strsep(&next, "\n"));

		number++;
		if (wrong)      /* never the line itself: it may hold a secret */
			buf_printf(mistakes, "%s:%d: %s\n", path, number, wrong);
	}
}

const char *pairs_find(const struct pairs *p, const char *name)
{
	for (size_t i = p->n; i > 0; i--) {
		if (strcmp(p->items[i - 1].name, name) == 0)
			return p->items[i - 1].value;
	}
	return NULL;
}

void pairs_done(struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].name);
		explicit_bzero(p->items[i].value, strlen(p->items[i].value));
		free(p->items[i].value);
	}
	free(p->items);
	*p = (struct pairs){ 0 };
}
