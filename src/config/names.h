/* Inside `config`: where a setting's text comes from. The environment wins over the file
 * that CALLGATE_ENV_FILE names; both hold the same names. */
#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include <stddef.h>

#include "callgate/buf.h"
#include "callgate/err.h"

struct pair {
	char *name;
	char *value;
};

/* NAME=VALUE lines of one file, in order. */
struct pairs {
	struct pair *items;
	size_t       n;
};

/* Every line that cannot be read is told in `mistakes`, with its number. */
void        pairs_read(struct pairs *p, const char *path, struct buf *mistakes);
const char *pairs_find(const struct pairs *p, const char *name);  /* the last one; NULL if none */
void        pairs_done(struct pairs *p);

/* A whole small text file; the caller frees. */
enum err file_read(const char *path, size_t max, char **out, struct errinfo *e) MUST_USE;

#endif
