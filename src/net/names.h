/* Inside `net`: the addresses of hosts. libcurl is told them, and looks up none itself: its
 * threads are one for each request, and a server of names that is silent would make as many as
 * calls are tried. Here there is one for each name, whoever asks for it, and so many in all.
 *
 * Addresses are looked up again after a while, and meanwhile the old ones serve: names that
 * cannot be looked up any more stop nobody for some minutes. */
#ifndef NET_NAMES_H
#define NET_NAMES_H

#include "transfer.h"

#define NAMES_MAX      1024
#define LOOKUPS_MAX    64
#define NAME_FRESH_MS  60000
#define NAME_OLD_MS    600000

/* What a transfer waited for: its addresses are set, or words say why not. On the net's thread;
 * the transfer is the receiver's again. */
typedef void names_done_fn(void *arg, struct transfer *t, bool found);

struct names;
struct names *names_new(struct net *n, names_done_fn *done, void *arg);
/* After the net's thread has ended, and when nobody waits. What is being looked up ends by itself. */
void          names_free(struct names *ns);

enum names_answer {
	NAMES_KNOWN,    /* its addresses are set, if it needs any   */
	NAMES_WAITS,    /* it is held here until done()             */
	NAMES_FULL,     /* too much is being looked up; words say so */
};
enum names_answer names_ask(struct names *ns, struct transfer *t);
/* One that has waited past its time, taken out; NULL: none (any more). */
struct transfer  *names_expired(struct names *ns, int64_t now_ms);
/* Any one that waits, taken out; for the end. */
struct transfer  *names_take(struct names *ns);
bool              names_awaited(const struct names *ns);

/* A task of the net: a lookup has ended. And what becomes of it when it does not run any more. */
void names_told(void *lookup);
void names_forget(void *lookup);

#endif
