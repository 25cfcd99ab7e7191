/* Listening sockets: several on one port, one per I/O thread. */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "callgate/err.h"

/* Opens `count` sockets on "host:port", "[v6]:port" or ":port"; port 0 picks one, the
 * same for all. Fills fds and *port only on OK. ERR_INVALID: the text, or a host that
 * is none of ours; ERR_UNAVAILABLE: the address is in use; ERR_DENIED: a privileged port. */
enum err listen_open(const char *where, int count, int *fds, int *port, struct errinfo *e) MUST_USE;

#endif
