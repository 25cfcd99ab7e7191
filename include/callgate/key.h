/* Developer keys as text. A key is PREFIX ORG '_' SECRET:
 *     dk_1c_9vH…   PREFIX says kind and mode, ORG is the organization's number in
 *     base 36, SECRET is 40 characters of base 62 (238 bits of randomness).
 * The organization stands in the key so that the look-up is one probe of one primary
 * key that begins with the tenant. Only the SHA-256 of the whole text is stored. */
#ifndef CALLGATE_KEY_H
#define CALLGATE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_kind {
	KEY_DK = 0,             /* "dk_", "dk_test_"                  own API, Pathors */
	KEY_KROS,               /* "kros_live_", "kros_test_"         KrosAI           */
	KEY_SK_CAR,             /* "sk_car_", "sk_car_test_"          Cartesia         */
	KEY_SK,                 /* "sk_live_", "sk_test_"             ThunderPhone, CallingBox */
	KEY_KIND_COUNT
};

#define KEY_TEXT_SIZE 80
#define KEY_HINT_SIZE 24        /* the prefix and the last four characters, "dk_…x7Qa" */

const char *key_prefix(enum key_kind kind, bool test);
bool        key_kind_parse(const char *name, enum key_kind *out);       /* "dk", "kros", "sk_car", "sk" */

/* Makes a new key; `out` is shown once and never stored. */
void key_new(enum key_kind kind, bool test, int64_t org_id, char out[KEY_TEXT_SIZE]);
void key_hint(const char *key, char out[KEY_HINT_SIZE]);

/* Splits a presented key. False: not the shape of a key. Whether it is a valid key,
 * and of which mode, only the stored row says. */
bool key_parse(const char *text, size_t len, enum key_kind *kind, int64_t *org_id);

#endif
