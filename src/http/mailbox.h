/* The way of a finished answer back to its I/O thread: a list under a mutex and an
 * eventfd. The eventfd is written only when the owner sleeps, or is about to: the owner
 * says so under the same mutex after finding the list empty, so no wake-up can fall
 * between its last look and its sleep, and a busy owner costs a poster no system call.
 *
 * The mailbox outlives its thread while handlers still hold requests (they were answered
 * by timeout at shutdown): the last late answer frees it. */
#ifndef HTTP_MAILBOX_H
#define HTTP_MAILBOX_H

#include <stdbool.h>

struct exchange;
struct mailbox;

struct mailbox *mailbox_new(void);              /* NULL: no descriptor left */
int             mailbox_fd(const struct mailbox *m);    /* edge-triggered; never read */

/* Owner only. */
void             mailbox_adopt(struct mailbox *m);      /* the calling thread is the owner */
struct exchange *mailbox_take(struct mailbox *m, bool may_sleep);
void             mailbox_calling(struct mailbox *m, struct exchange *x);  /* ops.request begins */
bool             mailbox_called(struct mailbox *m);     /* it ended; true: it has answered */
/* No owner any more. Of `out` requests with handlers, those that wait here are returned;
 * the rest is freed as it comes in. The mailbox is gone for the owner. */
struct exchange *mailbox_close(struct mailbox *m, int out);

/* Any thread. */
void mailbox_post(struct mailbox *m, struct exchange *x);
void mailbox_wake(struct mailbox *m);
/* True if x is answered from inside ops.request: then the owner sees it at once. */
bool mailbox_answers_at_once(struct mailbox *m, struct exchange *x);

#endif
