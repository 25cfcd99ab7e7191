/* An I/O thread: one daemon of the library in external epoll mode, an epoll set of our
 * own over it, the mailbox and the lingering sockets, and two rings in order of their
 * deadlines. Everything here is touched by its own thread only, but for what says so. */
#ifndef HTTP_THREAD_H
#define HTTP_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "callgate/http.h"
#include "exchange.h"
#include "linger.h"
#include "list.h"

struct MHD_Daemon;

/* A connection. The library closes its socket; we may only shut it down. */
struct conn {
	struct link link;               /* in `waiting`, unless a request is in hand     */
	int         fd;
	int64_t     deadline_ms;        /* a complete request has to be here by then     */
	struct MHD_Connection *connection;
	struct exchange *exchange;      /* between its head and its end                  */
	struct link reading;            /* in `heads` or in `chunks`, or alone           */
	int64_t     line_us;            /* when the latest request line was read         */
	const char *uri;                /* in the library's buffer                       */
	const char *uri_end;            /* as it was before the library decoded it       */
	bool        bad_line;           /* see head_uri_valid()                          */
	bool        refused;            /* answered in the library's stead: no handler   */
	unsigned    served_round;       /* when its latest request ended                 */
	bool        early;              /* answered while more may come: linger          */
	bool        cut;                /* we shut it: nothing to linger for             */
	bool        left;               /* the client has closed its sending half        */
	struct link leaving;            /* then, in `leaving`, unless a request is in hand */
	int64_t     nudge_ms;
};

struct io_thread {
	struct http_server *server;
	pthread_t           tid;
	bool                started;    /* server's: tid is valid */
	struct MHD_Daemon  *daemon;
	int                 listen_fd;
	int                 epoll_fd;
	struct mailbox     *box;

	struct link         waiting;    /* connections, by deadline_ms                   */
	struct link         held;       /* exchanges in hand, by deadline_ms             */
	struct link         leaving;    /* connections, by nudge_ms                      */
	struct link         heads;      /* connections whose line was read, not the head */
	struct link         chunks;     /* connections with a chunked body on its way    */
	struct conn        *splitting;  /* whose arguments the library is taking apart   */
	int                 page_status;/* of a page the library is sending; 0: none     */
	int                 pages;      /* such pages in this round, not yet completed   */
	unsigned            round;      /* of run_daemon()                               */
	struct lingering    lingering;
	struct exchange    *pool;
	int                 pooled;
	int                 connections;
	int                 out;        /* exchanges with handlers, timed out or not     */
	bool                closed_one; /* during the latest run of the daemon           */
	int64_t             now_ms;
	uint64_t            id_seed[2]; /* of fresh request ids                          */

	bool                quiesced;
	bool                stopping;
	bool                ending;     /* the daemon is being stopped                   */
	int64_t             drain_ms;   /* once nothing is in hand: until then we write  */

	_Atomic int64_t     in_hand;    /* any thread may read                           */
};

enum server_phase { PHASE_RUN, PHASE_QUIESCE, PHASE_STOP };

struct http_server {
	struct http_ops  ops;
	void            *arg;
	int              idle_timeout_ms;
	int              answer_timeout_ms;
	int              port;

	_Atomic int      phase;
	int64_t          grace_end_ms;  /* valid from PHASE_STOP on */
	pthread_mutex_t  mutex;         /* guards: */
	pthread_cond_t   changed;
	int              quiesced;      /* threads that no longer accept */

	int              thread_count;
	struct io_thread thread[];
};

/* thread.c, in the order of a life. `listen_fd` is taken. */
void     thread_init(struct io_thread *t, struct http_server *s, int listen_fd);
enum err thread_open(struct io_thread *t, int max_connections, struct errinfo *e) MUST_USE;
enum err thread_start(struct io_thread *t, struct errinfo *e) MUST_USE;
void     thread_close(struct io_thread *t);     /* after its end, or never started */

/* handler.c: the library's callbacks, with struct io_thread as their argument. */
struct MHD_Daemon *handler_daemon(struct io_thread *t, int max_connections);
void handler_wait(struct io_thread *t, struct conn *c);        /* (re)starts the idle time */
void handler_left(struct io_thread *t, struct conn *c);        /* its client has closed */
void handler_release(struct io_thread *t, struct exchange *x); /* if nobody has it any more */

#endif
