/* Connections that were closed with an early answer while the client is still sending.
 * Closing such a socket makes the kernel send a reset, and a reset throws away what the
 * client has not read yet: the answer that says why. So the answer and our FIN go out,
 * and for a moment we read and throw away what still comes.
 *
 * The library closes its own descriptor; ours is a duplicate of it. */
#ifndef HTTP_LINGER_H
#define HTTP_LINGER_H

#include <stdbool.h>
#include <stdint.h>

#include "ceilings.h"

struct linger_one {
	int     fd;             /* -1: free */
	int64_t until_ms;
	int64_t bytes;
};

struct lingering {
	struct linger_one one[LINGER_MAX];
	int               count;
};

void    linger_init(struct lingering *l);
void    linger_done(struct lingering *l);
/* Keeps a duplicate of fd, watched by epoll_fd with the slot as its data; does nothing
 * when all slots are taken. */
void    linger_add(struct lingering *l, int epoll_fd, int fd, int64_t now_ms);
bool    linger_has(const struct lingering *l, const void *one);  /* is it a slot? */
void    linger_read(struct lingering *l, struct linger_one *one);
void    linger_expire(struct lingering *l, int64_t now_ms);
int64_t linger_next_ms(const struct lingering *l);      /* INT64_MAX: none */

#endif
