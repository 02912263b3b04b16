/* Tokens of RFC 6290: making, keeping, giving and comparing them; and what ESP of a peer that we
 * have forgotten is answered with. */
#include "ipsecd/ike/quick_crash.h"
#include "ipsecd/ike/exchange.h"
#include "ipsecd/ike/output.h"
#include "ipsecd/ike/peers.h"

#define TOKEN_MIN 16 /* RFC 6290 5: 16 to 128 octets */

/* After a reboot all peers come at once. Each of these costs one PRF, or nothing, and is no longer
 * than what it answers. */
#define TOKENS_PER_SECOND 1000
#define ESP_PER_SECOND	  200

static bool make_token(const struct ike_engine *e, uint64_t spi_i, uint64_t spi_r,
		       uint8_t token[QUICK_CRASH_TOKEN])
{
	static const char use[] = "detour quick crash detection";
	uint8_t spis[16];
	const struct span parts[] = {span_of(use, sizeof(use)), span_of(spis, sizeof(spis))};

	be64_set(spis, spi_i);
	be64_set(spis + 8, spi_r);
	return e->env.crypto->prf(PRF_HMAC_SHA2_256,
				  span_of(e->crash.secret, sizeof(e->crash.secret)), parts, 2,
				  token);
}

/* ---- under protection ---- */

void quick_crash_put(struct ike_engine *e, const struct ike_sa *sa, struct wire_writer *w)
{
	uint8_t token[QUICK_CRASH_TOKEN];

	if (e->crash.on && e->crash.makes && make_token(e, sa->spi_i, sa->spi_r, token))
		wire_put_notify(w, PROTOCOL_IKE, NOTIFY_QUICK_CRASH_DETECTION, span_of(NULL, 0),
				span_of(token, sizeof(token)));
}

void quick_crash_take(struct ike_engine *e, struct ike_sa *sa, const struct wire_message *in)
{
	const struct wire_notify *n = wire_find_notify(in, NOTIFY_QUICK_CRASH_DETECTION);

	if (!e->crash.on || !n)
		return;
	if (n->data.len < TOKEN_MIN || n->data.len > IKE_TOKEN_MAX) {
		ike_log(e, sa, LOG_LEVEL_INFO,
			"a token of %zu octets for quick crash detection, expected 16 to 128",
			n->data.len);
		return;
	}
	if (message_copy_set(&sa->crash_token, n->data))
		sa_touch(e, sa);
}

static bool create_token_request(struct exchange *x)
{
	if (x->sa->redundant || !x->e->crash.on || !x->e->crash.makes)
		return false;
	quick_crash_put(x->e, x->sa, x->out);
	return true;
}

static void consume_token_response(struct exchange *x)
{
	(void)x;
}

const struct exchange_ops quick_crash_ops = {
	.name = "INFORMATIONAL (token for quick crash detection)",
	.kind = KIND_INFORMATIONAL,
	.create_request = create_token_request,
	.consume_response = consume_token_response,
};

void quick_crash_renew(struct ike_engine *e, struct ike_sa *sa)
{
	if (e->crash.on && e->crash.makes)
		exchange_enqueue(e, sa, &quick_crash_ops, 0, NULL, 0);
}

/* ---- without ---- */

/* RFC 6290 4.5: what came has to look like a protected request of an IKE_SA. */
static bool is_request(const struct wire_header *h)
{
	return !(h->flags & FLAG_RESPONSE) && h->next_payload == PAYLOAD_SK && h->spi_i &&
	       h->spi_r && h->exchange != EXCHANGE_IKE_SA_INIT;
}

bool quick_crash_may_tell(struct ike_engine *e, const struct ike_path *path,
			  const struct wire_header *h, uint8_t token[QUICK_CRASH_TOKEN])
{
	struct path_view view;

	if (!e->crash.on || !e->crash.makes || !is_request(h))
		return false;
	/* One of the two is ours, whoever the sender says it is. */
	if (ike_sa_by_spi(e, h->spi_i) || ike_sa_by_spi(e, h->spi_r))
		return false;
	view = peers_look(e, path);
	if (!view.known || view.inherited || !log_limit_pass(&e->crash.tokens, e->now))
		return false;
	if (!make_token(e, h->spi_i, h->spi_r, token))
		return false;
	e->counters.crash_token_given++;
	return true;
}

static bool equal(const struct ike_sa *sa, struct span token)
{
	uint8_t difference = 0;

	if (!sa->crash_token.len || token.len != sa->crash_token.len)
		return false;
	for (size_t i = 0; i < token.len; i++)
		difference |= (uint8_t)(sa->crash_token.data[i] ^ token.ptr[i]);
	return difference == 0;
}

static enum ike_reason reason_of(const struct ike_sa *sa)
{
	if (sa->state == IKE_SA_DELETING)
		return sa->end_reason;
	return sa->state == IKE_SA_REKEYED ? IKE_REASON_REPLACED : IKE_REASON_PEER_RESTARTED;
}

/* RFC 6290 4.5: any of several may be the one, since secrets may be renewed. The peer is told
 * nothing, which has no IKE_SA any more. */
bool quick_crash_proved(struct ike_engine *e, struct ike_sa *sa, const struct wire_message *m)
{
	bool any = false, right = false;

	for (unsigned i = 0; e->crash.on && i < m->n_notifies; i++) {
		const struct wire_notify *n = &m->notifies[i];

		if (n->type != NOTIFY_QUICK_CRASH_DETECTION)
			continue;
		any = true;
		right |= equal(sa, n->data);
	}
	if (!right) {
		e->counters.crash_token_wrong += any;
		return false;
	}
	e->counters.crash_token_proved++;
	ike_log(e, sa, LOG_LEVEL_NOTICE,
		"IKE_SA #%u: the peer shows its token for quick crash detection", sa->id);
	ike_sa_end(e, sa, reason_of(sa), "it has lost the IKE_SA, its token proves it");
	return true;
}

/* RFC 7296 1.5: to where it came from; no IKE SPIs mean anything to the receiver, and it may not
 * answer. */
static void tell_invalid_spi(struct ike_engine *e, const struct ike_path *path, uint32_t spi)
{
	const struct wire_header h = {.version = WIRE_VERSION,
				      .exchange = EXCHANGE_INFORMATIONAL,
				      .flags = FLAG_INITIATOR};
	struct ike_path back = *path;
	uint8_t memory[64], data[4];
	struct wire_writer w;

	if (!back.local.port || !back.remote.port)
		back.local.port = back.remote.port = PORT_IKE;
	be32_set(data, spi);
	wire_begin(&w, memory, sizeof(memory), &h);
	wire_put_notify(&w, PROTOCOL_NONE, NOTIFY_INVALID_SPI, span_of(NULL, 0),
			span_of(data, sizeof(data)));
	exchange_count_sent(e, NOTIFY_INVALID_SPI);
	e->counters.invalid_spi_told++;
	output_send(e, &back, wire_end(&w));
}

/* With an IKE_SA the peer knows what we have, and late packets of replaced CHILD_SAs come; who is
 * no peer of ours is not answered at all. */
void quick_crash_esp_unknown(struct ike_engine *e, const struct ike_path *path, uint32_t spi)
{
	char from[ENDPOINT_TEXT];
	struct path_view view;

	if (!e->crash.on || e->shutting_down)
		return;
	view = peers_look(e, path);
	if (!view.known || view.up || view.inherited || !log_limit_pass(&e->crash.esp, e->now))
		return;
	if (log_limit_pass(&e->drop_log, e->now))
		ike_log(e, NULL, LOG_LEVEL_INFO, "ESP from %s with unknown SPI %08x: INVALID_SPI",
			endpoint_format(&path->remote, from), spi);
	tell_invalid_spi(e, path, spi);
}

/* ---- the engine's ---- */

void ike_engine_quick_crash(struct ike_engine *e, bool on,
			    const uint8_t secret[IKE_QUICK_CRASH_SECRET])
{
	e->crash.on = on;
	e->crash.makes = secret != NULL;
	if (secret)
		memcpy(e->crash.secret, secret, sizeof(e->crash.secret));
	else
		explicit_bzero(e->crash.secret, sizeof(e->crash.secret));
	e->crash.tokens.burst = TOKENS_PER_SECOND;
	e->crash.esp.burst = ESP_PER_SECOND;
}
