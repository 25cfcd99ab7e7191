/* A bounded queue of pointers from many producers to one or more consumers that
 * take everything that waits, up to a batch. It never blocks a producer: a full
 * queue says so, and the producer answers "try later". */
#ifndef CALLGATE_QUEUE_H
#define CALLGATE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct queue;

struct queue *queue_new(size_t capacity);
void   queue_free(struct queue *q);             /* must be empty of consumers */
bool   queue_push(struct queue *q, void *item); /* false: full or closed */
/* Waits until something is there (at most timeout_ms; -1 for ever) and takes up to
 * max, in order. 0: nothing came, or the queue is closed and empty. */
size_t queue_take(struct queue *q, void **out, size_t max, int timeout_ms);
void   queue_close(struct queue *q);            /* no more pushes; consumers drain, then get 0 */
bool   queue_closed(struct queue *q);           /* closed and empty */
size_t queue_len(struct queue *q);

#endif
