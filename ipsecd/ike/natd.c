/* NAT detection hashes (RFC 7296 2.23, 3.10.1). Knows no SA. */
#include "ipsecd/ike/natd.h"

bool natd_hash(const struct crypto_ops *crypto, uint64_t spi_i, uint64_t spi_r,
	       const struct endpoint *end, uint8_t out[NATD_LEN])
{
	uint8_t head[16], port[2];
	struct span parts[3] = {span_of(head, sizeof(head)), addr_span(&end->addr),
				span_of(port, sizeof(port))};

	be64_set(head, spi_i);
	be64_set(head + 8, spi_r);
	be16_set(port, end->port);
	return crypto->sha1(parts, 3, out);
}

void natd_put(const struct crypto_ops *crypto, struct wire_writer *w, uint64_t spi_i,
	      uint64_t spi_r, const struct endpoint *local, const struct endpoint *remote,
	      bool fake)
{
	uint8_t hash[NATD_LEN];

	if (!natd_hash(crypto, spi_i, spi_r, local, hash))
		return;
	if (fake)
		hash[0] ^= 0xff;
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_NAT_DETECTION_SOURCE_IP, span_of(NULL, 0),
			span_of(hash, sizeof(hash)));
	if (!natd_hash(crypto, spi_i, spi_r, remote, hash))
		return;
	wire_put_notify(w, PROTOCOL_NONE, NOTIFY_NAT_DETECTION_DESTINATION_IP, span_of(NULL, 0),
			span_of(hash, sizeof(hash)));
}

/* A multihomed peer may send several source hashes: one match is enough. */
static bool matches(const struct wire_message *m, uint16_t type, const uint8_t hash[NATD_LEN],
		    bool *present)
{
	*present = false;
	for (unsigned i = 0; i < m->n_notifies; i++) {
		if (m->notifies[i].type != type)
			continue;
		*present = true;
		if (span_equal(m->notifies[i].data, span_of(hash, NATD_LEN)))
			return true;
	}
	return false;
}

struct natd_view natd_detect(const struct crypto_ops *crypto, const struct wire_message *m,
			     uint64_t spi_i, uint64_t spi_r, const struct endpoint *local,
			     const struct endpoint *remote)
{
	struct natd_view v = {0};
	uint8_t source[NATD_LEN], destination[NATD_LEN];
	bool have_source, have_destination, source_ok, destination_ok;

	if (!natd_hash(crypto, spi_i, spi_r, remote, source) ||
	    !natd_hash(crypto, spi_i, spi_r, local, destination))
		return v;
	source_ok = matches(m, NOTIFY_NAT_DETECTION_SOURCE_IP, source, &have_source);
	destination_ok =
		matches(m, NOTIFY_NAT_DETECTION_DESTINATION_IP, destination, &have_destination);
	v.supported = have_source && have_destination;
	v.nat_remote = v.supported && !source_ok;
	v.nat_local = v.supported && !destination_ok;
	return v;
}
