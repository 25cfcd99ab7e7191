/* The room's own ceilings. */
#ifndef HTTP_CEILINGS_H
#define HTTP_CEILINGS_H

/* Memory of the library per connection: the head of a request, its records (64 bytes per
 * header), the read buffer and the head of the answer share it. The library clears all of
 * it after every request, so a kept-alive connection really occupies it: small keeps
 * 10,000 of them cheap, and every request fast. */
#define CONNECTION_POOL_BYTES   (12 * 1024)
#define CONNECTION_GROW_BYTES   4096
/* Of it, kept free for the answer's head and for reading a body. Without this a request
 * that fills the pool would get no answer at all (or, with a body, spin for ever). */
#define CONNECTION_SPARE_BYTES  (3 * 1024)
#define HEADER_RECORD_BYTES     64

/* The copied head: never more than the pool, plus a NUL per name or value. */
#define HEAD_TEXT_MAX_BYTES     (2 * CONNECTION_POOL_BYTES)

/* A refused request whose announced body is at most this is read to its end, so that the
 * connection lives on; with more the answer goes first and the connection closes. */
#define DISCARD_BODY_BYTES      (64 * 1024)

/* After an early answer: how long, how much and for how many at once we go on reading,
 * so that the answer is not lost to a reset (see linger.h). */
#define LINGER_MS               2000
#define LINGER_BYTES            (4 * 1024 * 1024)
#define LINGER_MAX              64

/* How long the library may take to notice a client's end before we point it out. */
#define NUDGE_MS                200

/* Past the grace of http_stop: for writing out what was answered. */
#define DRAIN_MS                1000

#define LISTEN_BACKLOG          4096
#define THREADS_MAX             64
/* Descriptors that are not connections: logs, databases, provider, epoll sets. */
#define RESERVED_DESCRIPTORS    256

#endif
