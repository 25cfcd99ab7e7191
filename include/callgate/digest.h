/* Digests and randomness, over OpenSSL's libcrypto and the kernel. */
#ifndef CALLGATE_DIGEST_H
#define CALLGATE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE]);
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[SHA256_SIZE]);
void random_bytes(void *out, size_t len);       /* never fails; ends the process if the kernel cannot */
void hex_encode(const void *data, size_t len, char *out);       /* out: 2 * len + 1 */

/* RFC 4648 §5, without padding; out holds BASE64URL_SIZE(len). Returns the length. */
#define BASE64URL_SIZE(len) (((len) * 4 + 2) / 3 + 1)
size_t base64url_encode(const void *data, size_t len, char *out);
/* Of exactly `len` characters, without padding; `out` holds len * 3 / 4 bytes. False: not base64url. */
bool   base64url_decode(const char *text, size_t len, void *out, size_t *out_len);

/* RFC 4648 §4, padded; out holds BASE64_SIZE(len). */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
size_t base64_encode(const void *data, size_t len, char *out);

/* Takes as long wherever the first difference is: for comparing what proves something. */
bool   bytes_equal(const void *a, const void *b, size_t len);

#endif
