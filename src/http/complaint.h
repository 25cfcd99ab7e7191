/* What the library refuses on its own, before (or instead of) asking us. Its answers are
 * pages of HTML, and from some places it writes the head of the page twice, so that the
 * second one lands inside the body: bytes that a proxy in front could take for the answer
 * to somebody else's request. It announces each refusal in its log, while it works on the
 * connection and before the first byte leaves; that is our chance to answer instead and
 * to close the sending half, so that nothing of the page can follow.
 *
 * The log does not say which connection. It is certain wherever the head would come twice
 * (see culprit()); where it is not, the page goes out: one well-formed answer, and the end
 * of the connection. */
#ifndef HTTP_COMPLAINT_H
#define HTTP_COMPLAINT_H

#include <stdarg.h>

struct conn;
struct exchange;
struct io_thread;

/* The library's log; arg is the io_thread. */
__attribute__((format(printf, 2, 0)))
void complaint_log(void *arg, const char *fmt, va_list ap);

/* The rest sees to it that ops.done hears of each refusal once. */
void complaint_completed(struct io_thread *t, struct conn *c, struct exchange *x);  /* with an error */
void complaint_closed(struct io_thread *t, const struct conn *c);
void complaint_end_round(struct io_thread *t);          /* after a run of the daemon */

#endif
