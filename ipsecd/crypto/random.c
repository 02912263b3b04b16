/* The process's random source: OpenSSL's CSPRNG. Weak keys are never an answer,
 * so a source that fails ends the process. */
#include "ipsecd/crypto/crypto.h"

#include <limits.h>
#include <openssl/rand.h>
#include <stdlib.h>

void crypto_random(void *ctx, void *dst, size_t n)
{
	(void)ctx;
	if (n > INT_MAX || RAND_bytes(dst, (int)n) != 1)
		abort();
}
