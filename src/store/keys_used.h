/* Remembering the day a key was last used: asked for by the statements that see the key,
 * at most once per key and day, outside of them. */
#ifndef STORE_KEYS_USED_H
#define STORE_KEYS_USED_H

#include "callgate/digest.h"
#include "callgate/store.h"

/* Failure is of no consequence: the next request will try again. */
void keys_used_today(struct store *s, int64_t org_id, const uint8_t hash[SHA256_SIZE]);

#endif
