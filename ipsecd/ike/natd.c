/* NAT detection hashes (RFC 7296 2.23, 3.10.1). Knows no SA. */
#include "ipsecd/ike/natd.h"

#include <stdio.h>

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

/* RFC 7296 2.23 lets either end have it so. Always in the same way: who knows our hash tells this
 * from a NAT. */
static void make_fake(uint8_t hash[NATD_LEN])
{
	hash[0] ^= 0xff;
}

void natd_put(const struct crypto_ops *crypto, struct wire_writer *w, uint64_t spi_i,
	      uint64_t spi_r, const struct endpoint *local, const struct endpoint *remote,
	      bool fake)
{
	uint8_t hash[NATD_LEN];

	if (!natd_hash(crypto, spi_i, spi_r, local, hash))
		return;
	if (fake)
		make_fake(hash);
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
	make_fake(source);
	v.faked = v.nat_remote && matches(m, NOTIFY_NAT_DETECTION_SOURCE_IP, source, &have_source);
	return v;
}

/* Other implementations' claims look like NATs. */
bool natd_text(const struct natd_view *v, bool fake, char *text, size_t size)
{
	bool remote = v->nat_remote && !v->faked;

	if (v->nat_local || remote)
		snprintf(text, size, "NAT: %s%s%s", v->nat_local ? "we are behind one" : "",
			 v->nat_local && remote ? " and " : "",
			 remote ? "the peer is behind one, or claims to be" : "");
	else if (v->faked || fake)
		snprintf(text, size, "no NAT, but ESP goes in UDP: %s",
			 !v->faked ? "we want it so"
			 : fake	   ? "both ends want it so"
				   : "the peer wants it so");
	return v->nat_local || v->nat_remote || fake;
}
