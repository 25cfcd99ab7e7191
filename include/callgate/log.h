/* Logs. One line is one event with a stable dotted name and its context:
 *     LOG_INFO("call.ended", LOG_ID("call", &id), LOG_STR("outcome", "busy"));
 * Format `text` is for a terminal, `json` is one object a line. Everything goes to
 * standard error, a line at a time, so that lines of several threads never mix.
 *
 * Never logged: keys, tokens, signatures, bodies, variables. A telephone number is
 * logged with LOG_TEL, which shows its last two digits. What somebody else has said may quote
 * all of these, and is logged with LOG_SAID, which hides them. */
#ifndef CALLGATE_LOG_H
#define CALLGATE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/id.h"

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,         /* we went on without something */
	LOG_LEVEL_ERROR         /* a person should look          */
};

enum log_type { LOG_TYPE_STR, LOG_TYPE_INT, LOG_TYPE_ID, LOG_TYPE_TEL, LOG_TYPE_SAID };

struct log_field {
	const char   *name;
	enum log_type type;
	const char   *str;      /* NULL is written as null */
	int64_t       num;
	struct id     id;
};

#define LOG_STR(name_, s_) ((struct log_field){ .name = (name_), .type = LOG_TYPE_STR, .str = (s_) })
#define LOG_INT(name_, n_) ((struct log_field){ .name = (name_), .type = LOG_TYPE_INT, .num = (n_) })
#define LOG_ID(name_, id_) ((struct log_field){ .name = (name_), .type = LOG_TYPE_ID, .id = *(id_) })
#define LOG_TEL(name_, s_) ((struct log_field){ .name = (name_), .type = LOG_TYPE_TEL, .str = (s_) })
#define LOG_SAID(name_, s_) ((struct log_field){ .name = (name_), .type = LOG_TYPE_SAID, .str = (s_) })

#define LOG_FIELDS_(...) (const struct log_field[]){ { .name = NULL }, ##__VA_ARGS__ }
#define LOG_COUNT_(...) (sizeof(LOG_FIELDS_(__VA_ARGS__)) / sizeof(struct log_field))
#define LOG_AT_(level_, name_, ...) \
	(log_enabled(level_) ? log_write((level_), (name_), LOG_FIELDS_(__VA_ARGS__), LOG_COUNT_(__VA_ARGS__)) : (void)0)

#define LOG_DEBUG(name_, ...) LOG_AT_(LOG_LEVEL_DEBUG, name_, ##__VA_ARGS__)
#define LOG_INFO(name_, ...)  LOG_AT_(LOG_LEVEL_INFO, name_, ##__VA_ARGS__)
#define LOG_WARN(name_, ...)  LOG_AT_(LOG_LEVEL_WARN, name_, ##__VA_ARGS__)
#define LOG_ERROR(name_, ...) LOG_AT_(LOG_LEVEL_ERROR, name_, ##__VA_ARGS__)

void log_setup(enum log_level level, bool json);        /* once, before threads start */
bool log_level_parse(const char *s, enum log_level *out);
bool log_enabled(enum log_level level);

/* fields[0] is a filler of the macros and skipped. */
void log_write(enum log_level level, const char *name, const struct log_field *fields, size_t n);

/* One line as log_write makes it, without the time; for tests. Returns bytes written. */
size_t log_render(char *out, size_t size, bool json, enum log_level level, const char *name,
                  const struct log_field *fields, size_t n);

#endif
