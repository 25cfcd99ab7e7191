/* Digests and randomness. The only file that includes OpenSSL. */
#include "callgate/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>

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
