/* Encodes a parsed message again; for tests and fuzzers. */
#include "tests/support/wire_echo.h"

/* A payload that the parser keeps no content of. */
static void copy_payload(struct wire_writer *w, uint8_t type, struct span body)
{
	size_t announced_at = w->next_at;

	wire_put_vendor_id(w, body);
	buf_set_u8(&w->buf, announced_at, type);
}

static void echo_cp(struct wire_writer *w, const struct wire_cp *cp)
{
	size_t start = wire_open_cp(w, (enum wire_cp_type)cp->type);

	for (uint8_t i = 0; i < cp->n; i++)
		wire_put_cp_value(w, cp->attributes[i].type, cp->attributes[i].value);
	wire_close_cp(w, start);
}

static void echo_one(struct wire_writer *w, uint8_t type, struct span body,
		     const struct wire_message *m, unsigned *notify, unsigned *delete)
{
	const struct wire_notify *n = &m->notifies[*notify];
	const struct wire_delete *d = &m->deletes[*delete];

	switch (type) {
	case PAYLOAD_SA:
		wire_put_sa(w, &m->sa, m->sa_spis[0]);
		break;
	case PAYLOAD_KE:
		wire_put_ke(w, m->ke.group, m->ke.data);
		break;
	case PAYLOAD_IDI:
		wire_put_id(w, PAYLOAD_IDI, &m->idi.id);
		break;
	case PAYLOAD_IDR:
		wire_put_id(w, PAYLOAD_IDR, &m->idr.id);
		break;
	case PAYLOAD_AUTH:
		wire_put_auth(w, m->auth.method, m->auth.data);
		break;
	case PAYLOAD_NONCE:
		wire_put_nonce(w, m->nonce);
		break;
	case PAYLOAD_NOTIFY:
		if (*notify < m->n_notifies)
			wire_put_notify(w, n->protocol, n->type, n->spi, n->data);
		else
			copy_payload(w, type, body);
		(*notify)++;
		break;
	case PAYLOAD_DELETE:
		wire_put_delete(w, d->protocol, d->spi_size, d->spis);
		(*delete)++;
		break;
	case PAYLOAD_TSI:
		wire_put_ts(w, PAYLOAD_TSI, &m->tsi);
		break;
	case PAYLOAD_TSR:
		wire_put_ts(w, PAYLOAD_TSR, &m->tsr);
		break;
	case PAYLOAD_CP:
		echo_cp(w, &m->cp);
		break;
	case PAYLOAD_EAP:
		copy_payload(w, type, m->eap);
		break;
	case PAYLOAD_SK:
		copy_payload(w, type, m->sk);
		break;
	default:
		copy_payload(w, type, body);
	}
}

void wire_echo(struct wire_writer *w, uint8_t first, struct span chain,
	       const struct wire_message *m)
{
	unsigned notify = 0, delete = 0;
	uint8_t type = first;

	for (size_t at = 0; type != PAYLOAD_NONE && at < chain.len;) {
		size_t length = be16_get(chain.ptr + at + 2);

		echo_one(w, type, span_of(chain.ptr + at + 4, length - 4), m, &notify, &delete);
		if (type == PAYLOAD_SK)
			buf_set_u8(&w->buf, w->next_at, m->sk_next);
		type = chain.ptr[at];
		at += length;
	}
}
