/* Prints conns and secrets for golden files: one line a fact, defaults too. */
#include "tests/support/conn_dump.h"

static const char *seconds(mono_time t, char *text)
{
	snprintf(text, 32, "%llu.%03llus", (unsigned long long)(t / MONO_S),
		 (unsigned long long)(t % MONO_S / MONO_MS));
	return text;
}

static void dump_time(const char *name, mono_time t, FILE *out)
{
	char text[32];

	fprintf(out, " %s=%s", name, seconds(t, text));
}

static void dump_host(const struct host *h, FILE *out)
{
	char text[PREFIX_TEXT];

	switch (h->kind) {
	case HOST_ANY:
		fprintf(out, " %%any");
		break;
	case HOST_DEFAULT_ROUTE:
		fprintf(out, " %%defaultroute");
		break;
	case HOST_ADDR:
		fprintf(out, " %s", addr_format(&h->addr, text));
		break;
	case HOST_PREFIX:
		fprintf(out, " %s", prefix_format(&h->prefix, text));
		break;
	case HOST_NAME:
		fprintf(out, " name:%s", h->name);
		break;
	}
}

static void dump_end(const char *name, const struct host *hosts, unsigned n, const struct id *id,
		     uint16_t port, FILE *out)
{
	char text[ID_TEXT];

	fprintf(out, "\t%s", name);
	for (unsigned i = 0; i < n; i++)
		dump_host(&hosts[i], out);
	fprintf(out, " port=%u id=%u:%s\n", port, id->type, id_format(id, text));
}

static void dump_tunnel(const struct tunnel_config *t, FILE *out)
{
	char text[PREFIX_TEXT];

	static const char *const kinds[] = {"auto", "vti", "xfrm"};

	fprintf(out, "\ttunnel %s named=%d kind=%s%s%s mtu=%u mss=%u", t->name, t->named,
		kinds[t->kind], t->keyed ? " keyed" : "", t->external ? " external" : "", t->mtu,
		t->mss);
	fprintf(out, " mark_in=%#x/%#x mark_out=%#x/%#x if_id=%#x/%#x", t->mark_in.value,
		t->mark_in.mask, t->mark_out.value, t->mark_out.mask, t->if_id_in, t->if_id_out);
	for (unsigned i = 0; i < t->n_addrs; i++)
		fprintf(out, " %s", prefix_format(&t->addrs[i], text));
	if (t->local.family)
		fprintf(out, " from %s", addr_format(&t->local, text));
	if (t->remote.family)
		fprintf(out, " to %s", addr_format(&t->remote, text));
	fputc('\n', out);
}

static void dump_addrs(const char *name, const struct addr *list, unsigned n, FILE *out)
{
	char text[ADDR_TEXT];

	if (n)
		fprintf(out, "\t%s", name);
	for (unsigned i = 0; i < n; i++)
		fprintf(out, " %s", addr_format(&list[i], text));
	if (n)
		fputc('\n', out);
}

static void dump_vips(const struct conn *c, FILE *out)
{
	char text[256], a[ADDR_TEXT], b[ADDR_TEXT];

	dump_addrs("vips", c->vips, c->n_vips, out);
	dump_addrs("dns_wanted", c->dns_wanted, c->n_dns_wanted, out);
	dump_addrs("dns", c->dns, c->n_dns, out);
	for (unsigned i = 0; i < c->n_pools; i++)
		fprintf(out, "\tpool %s %s..%s\n",
			pool_ref_format(&c->pools[i], text, sizeof(text)),
			addr_format(&c->pools[i].first, a), addr_format(&c->pools[i].last, b));
}

static const char *action(enum start_action a)
{
	return a == ACTION_START ? "start" : a == ACTION_TRAP ? "trap" : "none";
}

static void dump_flags(const struct child_config *c, FILE *out)
{
	const struct child_flags *f = &c->flags;
	char rate[AGGFRAG_RATE_TEXT];

	fprintf(out, "\t\tflags df=%d dscp=%d no_ecn=%d offload=%d tfc=%u set_mark_in=%#x/%#x",
		f->df, f->dscp, f->no_ecn, f->offload, f->tfc_pad, f->set_mark_in,
		f->set_mark_in_mask);
	fprintf(out, " set_mark_out=%#x/%#x updown=%s\n", f->set_mark_out, f->set_mark_out_mask,
		c->updown ? c->updown : "");
	if (f->aggfrag.mode)
		fprintf(out,
			"\t\tiptfs mode=%u whole=%d packet=%u window=%u drop=%u queue=%u rate=%s\n",
			f->aggfrag.mode, f->aggfrag.dont_frag, f->aggfrag.packet_size,
			f->aggfrag.reorder_window, f->aggfrag.drop_time, f->aggfrag.max_queue,
			aggfrag_rate_format(&f->aggfrag, rate));
}

static void dump_child(const struct child_config *c, FILE *out)
{
	char text[4096];

	fprintf(out, "\tchild %s start=%s dpd=%s close=%s window=%u reqid=%u\n", c->name,
		action(c->start_action), action(c->dpd_action), action(c->close_action),
		c->replay_window, c->reqid);
	fprintf(out, "\t\tlocal %s\n", ts_list_format(&c->local_ts, text, sizeof(text)));
	fprintf(out, "\t\tremote %s\n", ts_list_format(&c->remote_ts, text, sizeof(text)));
	fprintf(out, "\t\tesp %s\n", proposal_list_format(c->proposals, text, sizeof(text)));
	fprintf(out, "\t\tlife");
	dump_time("rekey", c->rekey_time, out);
	dump_time("rand", c->rand_time, out);
	dump_time("hard", c->life_time, out);
	fprintf(out, " bytes=%llu/%llu packets=%llu/%llu\n", (unsigned long long)c->rekey_bytes,
		(unsigned long long)c->life_bytes, (unsigned long long)c->rekey_packets,
		(unsigned long long)c->life_packets);
	dump_flags(c, out);
}

void settings_dump(const struct settings *s, FILE *out)
{
	char text[ENDPOINT_TEXT];

	fprintf(out, "settings routes=%d table=%u prio=%u vip=%d on=%s updown=%us",
		s->install_routes, s->routing_table, s->routing_table_prio, s->install_virtual_ip,
		s->install_virtual_ip_on, s->updown_timeout);
	if (s->metrics.addr.family)
		fprintf(out, " metrics=%s", endpoint_format_url(&s->metrics, text));
	if (s->keep_on_stop)
		fprintf(out, " keep=%us", s->keep_on_stop);
	if (s->workers != 1)
		fprintf(out, " workers=%u", s->workers);
	fputs("\n", out);
}

void conn_dump(const struct conn *c, FILE *out)
{
	static const char *const unique[] = {"no", "never", "keep", "replace"};
	char text[4096];

	fprintf(out, "conn %s (%s)\n", c->name, c->source);
	dump_end("local", c->local, c->n_local, &c->local_id, c->local_port, out);
	dump_end("remote", c->remote, c->n_remote, &c->remote_id, c->remote_port, out);
	fprintf(out,
		"\tauth %d %d remote_id_set=%d encap=%d rekey=%d reauth=%d tries=%u unique=%s\n",
		c->local_auth, c->remote_auth, c->remote_id_set, c->encap, c->rekey, c->reauth,
		c->keying_tries, unique[c->unique]);
	fprintf(out, "\tike %s\n", proposal_list_format(c->proposals, text, sizeof(text)));
	fprintf(out, "\tlife");
	dump_time("rekey", c->rekey_time, out);
	dump_time("rand", c->rand_time, out);
	dump_time("over", c->over_time, out);
	dump_time("reauth", c->reauth_time, out);
	fprintf(out, "\n\tpeer");
	dump_time("dpd", c->dpd_delay, out);
	dump_time("interval", c->retransmit_interval, out);
	dump_time("timeout", c->retransmit_timeout, out);
	fputc('\n', out);
	dump_tunnel(&c->tunnel, out);
	dump_vips(c, out);
	for (unsigned i = 0; i < c->n_children; i++)
		dump_child(&c->children[i], out);
}

void secret_dump(const struct secret *s, FILE *out)
{
	static const char *const kinds[] = {"IKE", "EAP", "XAUTH", "NTLM", "PPK"};
	char text[ID_TEXT];

	fprintf(out, "secret %s (%s)", kinds[s->kind], s->unique);
	for (unsigned i = 0; i < s->n_owners; i++)
		fprintf(out, " %u:%s", s->owners[i].type, id_format(&s->owners[i], text));
	fprintf(out, " = ");
	for (size_t i = 0; i < s->len; i++)
		fprintf(out, "%02x", s->data[i]);
	fputc('\n', out);
}
