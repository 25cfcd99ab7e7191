/* Digests and randomness. The only file that includes OpenSSL. */
#include "callgate/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

#define HMAC_BLOCK 64

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "callgate: %s\n", what);
	abort();
}

/* Fetched once: looking the algorithm up by name takes longer than hashing a key, and
 * takes locks that all threads share. */
static pthread_once_t  fetched = PTHREAD_ONCE_INIT;
static EVP_MD         *sha256_md;

static void fetch(void)
{
	sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256_md)
		die("libcrypto has no SHA-256");
}

void sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE])
{
	pthread_once(&fetched, fetch);
	if (EVP_Digest(data, len, out, NULL, sha256_md, NULL) != 1)
		die("libcrypto could not compute SHA-256");
}

/* RFC 2104 over our own digest: libcrypto's MAC is one more object to fetch and share. */
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[SHA256_SIZE])
{
	uint8_t pad[HMAC_BLOCK], digest[SHA256_SIZE], outer[HMAC_BLOCK + SHA256_SIZE];
	uint8_t *inner = malloc(HMAC_BLOCK + len);

	if (!inner)
		die("no memory for an HMAC");
	if (key_len > HMAC_BLOCK) {
		sha256(key, key_len, digest);
		key = digest;
		key_len = sizeof digest;
	}
	for (size_t i = 0; i < HMAC_BLOCK; i++)
		pad[i] = (uint8_t)((i < key_len ? ((const uint8_t *)key)[i] : 0) ^ 0x36);
	memcpy(inner, pad, sizeof pad);
	if (len > 0)
		memcpy(inner + sizeof pad, data, len);
	sha256(inner, HMAC_BLOCK + len, out);
	free(inner);
	for (size_t i = 0; i < HMAC_BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	memcpy(outer, pad, sizeof pad);
	memcpy(outer + sizeof pad, out, SHA256_SIZE);
	sha256(outer, sizeof outer, out);
	explicit_bzero(pad, sizeof pad);
	explicit_bzero(outer, sizeof outer);
}

/* The kernel's generator, not libcrypto's: nothing to seed, nothing kept in memory that
 * a fork would share. Before the pool is ready it waits, once, early in the boot. */
void random_bytes(void *out, size_t len)
{
	char *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno != EINTR)
			die("the kernel gives no random bytes");
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void hex_encode(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

static const char url_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char letters_64[]  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode(const char *letters, const void *data, size_t len, char *out)
{
	const uint8_t *bytes = data;
	char *o = out;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t group = (uint32_t)bytes[i] << 16;

		if (i + 1 < len)
			group |= (uint32_t)bytes[i + 1] << 8;
		if (i + 2 < len)
			group |= bytes[i + 2];
		for (size_t k = 0; k < 4 && k <= len - i; k++)
			*o++ = letters[group >> (18 - 6 * k) & 63];
	}
	*o = '\0';
	return (size_t)(o - out);
}

size_t base64url_encode(const void *data, size_t len, char *out)
{
	return encode(url_letters, data, len, out);
}

size_t base64_encode(const void *data, size_t len, char *out)
{
	size_t n = encode(letters_64, data, len, out);

	while (n % 4)
		out[n++] = '=';
	out[n] = '\0';
	return n;
}

/* One text for each value: no padding, no spare bits. */
bool base64url_decode(const char *text, size_t len, void *out, size_t *out_len)
{
	uint8_t *o = out;
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < len; i++) {
		const char *at = text[i] ? strchr(url_letters, text[i]) : NULL;

		if (!at)
			return false;
		bits = bits << 6 | (uint32_t)(at - url_letters);
		have += 6;
		if (have >= 8) {
			have -= 8;
			*o++ = (uint8_t)(bits >> have);
			bits &= (1u << have) - 1;
		}
	}
	*out_len = (size_t)(o - (uint8_t *)out);
	return have < 6 && bits == 0;
}

bool bytes_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
