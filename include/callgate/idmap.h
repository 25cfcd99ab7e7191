/* A hash map by call id. Nodes lie inside the things they find, so the map allocates
 * nothing but its heads. Ids carry 62 random bits, which serve as the hash as they are:
 * nobody outside chooses them. */
#ifndef CALLGATE_IDMAP_H
#define CALLGATE_IDMAP_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/id.h"
#include "callgate/mem.h"

struct idnode {
	struct id      id;
	struct idnode *next;
};

struct idmap {
	struct idnode **heads;
	size_t          n, size;        /* size is a power of two, 0 before the first */
};

static inline struct idnode **idmap_head_(const struct idmap *m, const struct id *id)
{
	uint64_t hash;

	memcpy(&hash, id->b + 8, sizeof hash);
	return &m->heads[(hash ^ hash >> 32) & (m->size - 1)];
}

static inline struct idnode *idmap_get(const struct idmap *m, const struct id *id)
{
	struct idnode *node;

	if (!m->n)
		return NULL;
	for (node = *idmap_head_(m, id); node; node = node->next)
		if (memcmp(&node->id, id, sizeof *id) == 0)
			return node;
	return NULL;
}

static inline void idmap_grow_(struct idmap *m)
{
	struct idmap old = *m;

	m->size = old.size ? old.size * 2 : 64;
	m->heads = (struct idnode **)xcalloc(m->size, sizeof(struct idnode *));
	for (size_t i = 0; i < old.size; i++) {
		for (struct idnode *node = old.heads[i], *next; node; node = next) {
			struct idnode **head = idmap_head_(m, &node->id);

			next = node->next;
			node->next = *head;
			*head = node;
		}
	}
	free(old.heads);
}

/* node->id is set by the caller; it must not be in the map yet. */
static inline void idmap_add(struct idmap *m, struct idnode *node)
{
	struct idnode **head;

	if (m->n >= m->size)
		idmap_grow_(m);
	head = idmap_head_(m, &node->id);
	node->next = *head;
	*head = node;
	m->n++;
}

static inline void idmap_remove(struct idmap *m, struct idnode *node)
{
	for (struct idnode **at = idmap_head_(m, &node->id); *at; at = &(*at)->next) {
		if (*at == node) {
			*at = node->next;
			m->n--;
			return;
		}
	}
}

static inline void idmap_done(struct idmap *m)
{
	free(m->heads);
	m->heads = NULL;
	m->n = m->size = 0;
}

#endif
