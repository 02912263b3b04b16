/* Messages between ike and plane. First byte: the verb, and whether it is its answer. What passes
 * the check is read as the receivers read it. */
#include "ipsecd/ipc/check.h"

#include <stdlib.h>

static unsigned sum;

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void read_child(struct span body)
{
	char text[TS_TEXT];
	struct child_sa c;

	memcpy(&c, body.ptr, sizeof(c));
	sum += c.esn + c.udp_encap + c.outbound + c.flags.no_ecn;
	need(c.in.encr_len <= CHILD_KEY_MAX && c.out.integ_len <= ALGORITHM_KEY_MAX);
	need(c.local_ts.n <= TS_LIST_MAX && c.spi_out >= 256);
	need(algorithm_encr(c.encr_id, c.encr_key_bits) != NULL);
	for (unsigned i = 0; i < c.remote_ts.n; i++)
		sum += (unsigned char)ts_format(&c.remote_ts.ts[i], text)[0];
}

static void read_tunnel(struct span body)
{
	char text[PREFIX_TEXT];
	struct ipc_tunnel t;

	memcpy(&t, body.ptr, sizeof(t));
	need(strlen(t.config.name) < IF_NAMESIZE && t.config.n_addrs <= TUNNEL_ADDRS_MAX);
	sum += t.config.named + t.config.external + t.config.keyed;
	for (unsigned i = 0; i < t.config.n_addrs; i++) {
		sum += (unsigned char)prefix_format(&t.config.addrs[i], text)[0];
		need(!addr_is_loopback(&t.config.addrs[i].addr));
	}
}

static void read_body(uint32_t verb, struct span body)
{
	char text[ENDPOINT_TEXT];
	struct dataplane_event e;
	struct ipc_route r;
	struct ipc_path p;

	if (verb == IPC_CHILD_INSTALL)
		read_child(body);
	if (verb == IPC_TUNNEL_CREATE)
		read_tunnel(body);
	if (verb == IPC_EVENT) {
		memcpy(&e, body.ptr, sizeof(e));
		sum += e.admin_up + e.present;
	}
	if (verb == IPC_SEND_IKE || verb == IPC_IKE) {
		memcpy(&p, body.ptr, sizeof(p));
		need(body.len - sizeof(p) <= UINT16_MAX);
		sum += (unsigned char)endpoint_format(&p.remote, text)[0];
	}
	if (verb == IPC_ROUTE) {
		memcpy(&r, body.ptr, sizeof(r));
		need(r.protocol == IPC_OUR_ROUTES && r.table != 255);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body;
	uint8_t *copy;
	char text[80];

	if (size < 1)
		return 0;
	copy = malloc(size > 1 ? size - 1 : 1); /* exact bounds: every overread is seen */
	memcpy(copy, data + 1, size - 1);
	body = span_of(copy, size - 1);
	need(strlen(ipc_describe(data[0], body, text, sizeof(text))) < sizeof(text));
	if (ipc_check(data[0], body) == NULL)
		read_body(data[0], body);
	ipc_check_answer(data[0], body);
	free(copy);
	return 0;
}
