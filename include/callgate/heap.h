/* A min-heap of timers. A node lies inside the thing it wakes and knows its place, so one
 * thing has one timer, moving it costs O(log n), and nothing is allocated for it. The heap
 * owns its array only; it is as large as the number of things their owner allows. */
#ifndef CALLGATE_HEAP_H
#define CALLGATE_HEAP_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "callgate/mem.h"

struct heap_node {
	int64_t key;            /* when, in the owner's unit      */
	size_t  pos;            /* 1 for the first; 0: not in it  */
};

struct heap {
	struct heap_node **at;  /* at[pos - 1]                    */
	size_t             n, size;
};

static inline void heap_put_(struct heap *h, struct heap_node *node, size_t pos)
{
	h->at[pos - 1] = node;
	node->pos = pos;
}

static inline void heap_settle_(struct heap *h, struct heap_node *node, size_t pos)
{
	while (pos > 1 && h->at[pos / 2 - 1]->key > node->key) {
		heap_put_(h, h->at[pos / 2 - 1], pos);
		pos /= 2;
	}
	for (size_t child = pos * 2; child <= h->n; child = pos * 2) {
		if (child < h->n && h->at[child]->key < h->at[child - 1]->key)
			child++;
		if (h->at[child - 1]->key >= node->key)
			break;
		heap_put_(h, h->at[child - 1], pos);
		pos = child;
	}
	heap_put_(h, node, pos);
}

/* Sets or moves the timer. */
static inline void heap_set(struct heap *h, struct heap_node *node, int64_t key)
{
	node->key = key;
	if (!node->pos) {
		if (h->n == h->size) {
			h->size = h->size ? h->size * 2 : 64;
			h->at = (struct heap_node **)xrealloc(h->at, h->size, sizeof(struct heap_node *));
		}
		h->n++;
		node->pos = h->n;
		h->at[h->n - 1] = node;
	}
	heap_settle_(h, node, node->pos);
}

static inline void heap_remove(struct heap *h, struct heap_node *node)
{
	struct heap_node *last;
	size_t pos = node->pos;

	if (!pos)
		return;
	last = h->at[--h->n];
	node->pos = 0;
	if (last != node)
		heap_settle_(h, last, pos);
}

/* The earliest, or NULL. */
static inline struct heap_node *heap_first(const struct heap *h)
{
	return h->n ? h->at[0] : NULL;
}

static inline void heap_done(struct heap *h)
{
	free(h->at);
	h->at = NULL;
	h->n = h->size = 0;
}

#endif
