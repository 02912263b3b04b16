/* COOKIEs without state (RFC 7296 2.6). Takes time and random bytes, keeps only the
 * two secrets. */
#include "ipsecd/ike/cookie.h"
#include "lib/buf.h"

bool cookie_due(const struct cookie_jar *jar, mono_time now)
{
	return jar->version == 0 || now >= jar->rotate_at;
}

void cookie_rotate(struct cookie_jar *jar, const uint8_t fresh[32], mono_time now)
{
	memcpy(jar->secret[1], jar->secret[0], sizeof(jar->secret[0]));
	memcpy(jar->secret[0], fresh, sizeof(jar->secret[0]));
	jar->version++;
	jar->rotate_at = now + COOKIE_LIFE;
}

static bool compute(const struct crypto_ops *crypto, const uint8_t secret[32], uint32_t version,
		    struct span nonce, const struct addr *addr, uint64_t spi_i,
		    uint8_t out[COOKIE_LEN])
{
	uint8_t spi[8];
	struct span parts[3] = {nonce, addr_span(addr), span_of(spi, sizeof(spi))};

	be64_set(spi, spi_i);
	be32_set(out, version);
	return crypto->prf(PRF_HMAC_SHA2_256, span_of(secret, 32), parts, 3, out + 4);
}

bool cookie_make(const struct crypto_ops *crypto, const struct cookie_jar *jar, struct span nonce,
		 const struct addr *addr, uint64_t spi_i, uint8_t out[COOKIE_LEN])
{
	return compute(crypto, jar->secret[0], jar->version, nonce, addr, spi_i, out);
}

bool cookie_check(const struct crypto_ops *crypto, const struct cookie_jar *jar, struct span cookie,
		  struct span nonce, const struct addr *addr, uint64_t spi_i)
{
	uint8_t want[COOKIE_LEN], difference = 0;
	uint32_t version;

	if (cookie.len != COOKIE_LEN || jar->version == 0)
		return false;
	version = be32_get(cookie.ptr);
	/* The previous secret only exists from the second one on. */
	if (version != jar->version && (version != jar->version - 1 || version == 0))
		return false;
	if (!compute(crypto, jar->secret[version == jar->version ? 0 : 1], version, nonce, addr,
		     spi_i, want))
		return false;
	for (size_t i = 0; i < COOKIE_LEN; i++)
		difference |= (uint8_t)(want[i] ^ cookie.ptr[i]);
	return difference == 0;
}
