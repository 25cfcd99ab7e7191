/* Outcomes. One enum for the whole program, chosen by what the caller does next,
 * and one small struct for the words. A library's own codes (SQLSTATE, MHD_*)
 * are translated where that library is met and go no further. */
#ifndef CALLGATE_ERR_H
#define CALLGATE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))

enum err {
	OK = 0,
	ERR_INVALID,      /* the request is wrong; say what, never retry          */
	ERR_DENIED,       /* not allowed                                          */
	ERR_NOT_FOUND,
	ERR_CONFLICT,     /* the state moved under us; reload, then decide        */
	ERR_LIMIT,        /* a quota, a ceiling or a rate; try later              */
	ERR_UNAVAILABLE,  /* certainly not done; safe to retry                    */
	ERR_UNCERTAIN,    /* perhaps done; ask, never repeat blindly              */
	ERR_INTERNAL,     /* a bug, or a dependency that broke its word           */
	ERR_COUNT
};

/* Words for people and logs, never parsed. */
struct errinfo {
	char text[256];
};

const char *err_name(enum err err);     /* "invalid", "unavailable", … */

/* Sets the words and returns `err`, so that a failure is one line:
 *     return err_set(e, ERR_LIMIT, "project %s has no free line", id);
 * `e` may be NULL. Text that does not fit is cut at a UTF-8 boundary. */
__attribute__((format(printf, 3, 4)))
enum err err_set(struct errinfo *e, enum err err, const char *fmt, ...);

/* Puts words before those already there; the separator is the caller's:
 *     err_prefix(e, "reading %s: ", path);   "reading pool.json: no such file" */
__attribute__((format(printf, 2, 3)))
void err_prefix(struct errinfo *e, const char *fmt, ...);

#endif
