/* The simulation's nodes, time and inputs. What happens on the wire is in sim_net.c, the
 * data plane and the invariants in sim_plane.c and sim_check.c. */
#include "tests/sim/sim_parts.h"
#include "ipsecd/ike/keymat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SIM_STEPS_PER_INSTANT 200000u
#define SIM_SECRET	      "the simulation's secret"

uint64_t sim_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static void node_random(void *ctx, void *dst, size_t n)
{
	struct sim_node *node = ctx;
	uint8_t *out = dst;

	for (size_t i = 0; i < n; i += 8) {
		uint64_t r = sim_random(&node->rng);

		memcpy(out + i, &r, n - i < 8 ? n - i : 8);
	}
}

static void node_log(void *ctx, enum log_level level, const char *subsystem, const char *name,
		     const char *text)
{
	struct sim_node *node = ctx;

	fprintf(stderr, "%9.3f node%u %s %s[%s] %s\n", (double)node->sim->now / 1e9, node->index,
		log_level_name(level), subsystem, name, text);
}

void sim_fail(struct sim *s, const char *format, ...)
{
	va_list args;
	int at;

	if (s->violation[0])
		return;
	at = snprintf(s->violation, sizeof(s->violation),
		      "seed %llu at %.6f s: ", (unsigned long long)s->seed, (double)s->now / 1e9);
	va_start(args, format);
	vsnprintf(s->violation + at, sizeof(s->violation) - (size_t)at, format, args);
	va_end(args);
	fprintf(stderr, "violation: %s\n", s->violation);
}

static bool held_mac(void *ctx, const struct secret *secret, uint16_t prf_id,
		     const struct span *octets, size_t n, uint8_t *out)
{
	struct sim_node *node = ctx;

	node->macs++;
	if (secret->held != 1 || secret->len)
		sim_fail(node->sim, "node%u asks for another secret than the one it was given",
			 node->index);
	if (node->refuse_macs) {
		node->refuse_macs--;
		return false;
	}
	return keymat_psk_mac(node->sim->crypto, prf_id, span_str(SIM_SECRET), octets, n, out);
}

static bool held_ready(void *ctx)
{
	struct sim_node *node = ctx;

	if (!node->not_ready)
		return true;
	node->not_ready--;
	return false;
}

/* Each has a secret of its own, which outlives its engines. */
static void quick_crash(struct sim_node *n)
{
	uint8_t secret[IKE_QUICK_CRASH_SECRET] = {(uint8_t)(n->index + 1)};

	ike_engine_quick_crash(n->engine, true, secret);
}

void sim_quick_crash(struct sim *s)
{
	s->quick_crash = true;
	for (unsigned i = 0; i < s->n_nodes; i++)
		quick_crash(&s->nodes[i]);
}

void sim_start_engine(struct sim_node *n)
{
	struct ike_env env = {.crypto = n->sim->crypto,
			      .random = node_random,
			      .random_ctx = n,
			      .psk_mac = held_mac,
			      .psk_ready = held_ready,
			      .psk_ctx = n,
			      .log = n->logs ? &n->log : NULL};

	n->engine = ike_engine_new(&env, &n->sim->settings);
	if (!n->engine)
		abort();
	if (n->sim->quick_crash)
		quick_crash(n);
}

struct sim *sim_new(uint64_t seed, unsigned n_nodes, const struct crypto_ops *crypto,
		    const struct ike_settings *settings)
{
	static const struct ike_settings defaults;
	const char *level = getenv("SIM_LOG");
	struct sim *s = calloc(1, sizeof(*s));

	if (!s || n_nodes > SIM_NODES_MAX)
		abort();
	s->seed = s->rng = seed;
	s->crypto = crypto;
	s->settings = settings ? *settings : defaults;
	s->restores = sim_restores();
	s->settings.publish |= s->restores;
	s->n_nodes = n_nodes;
	s->now = MONO_S; /* 0 means "not planned" to the engine */
	sim_all_links(s, &(struct sim_link){.latency = 10 * MONO_MS});
	for (unsigned i = 0; i < n_nodes; i++) {
		struct sim_node *n = &s->nodes[i];
		n->sim = s;
		n->index = i;
		n->rng = seed * 31 + i + 1;
		n->log = (struct log_sink){.write = node_log, .ctx = n};
		n->logs = level && log_parse_level(level, &n->log.level);
		sim_start_engine(n);
	}
	return s;
}

void sim_restart(struct sim *s, unsigned node)
{
	struct sim_node *n = &s->nodes[node];

	ike_engine_free(n->engine);
	sim_plane_inherit(n);
	sim_windows_free(n);
	sim_records_free(n);
	n->back_at = 0;
	sim_start_engine(n);
}

void sim_reboot(struct sim *s, unsigned node)
{
	struct sim_node *n = &s->nodes[node];

	ike_engine_free(n->engine);
	sim_plane_free(n);
	sim_windows_free(n);
	sim_records_free(n);
	n->back_at = 0;
	n->newest_id = 0;
	sim_start_engine(n);
}

void sim_free(struct sim *s)
{
	for (unsigned i = 0; i < s->n_nodes; i++) {
		ike_engine_free(s->nodes[i].engine);
		sim_plane_free(&s->nodes[i]);
		sim_windows_free(&s->nodes[i]);
		sim_records_free(&s->nodes[i]);
		sim_pool_free(&s->nodes[i]);
	}
	sim_net_free(s);
	free(s);
}

/* ---- building ---- */

struct addr sim_addr(unsigned node, unsigned n)
{
	struct addr a = {.family = AF_INET};

	a.bytes[0] = 10;
	a.bytes[1] = (uint8_t)(node + 1);
	a.bytes[2] = (uint8_t)(n >> 8);
	a.bytes[3] = (uint8_t)n;
	return a;
}

struct addr sim_addr6(unsigned node, unsigned n)
{
	struct addr a = {.family = AF_INET6, .bytes = {0xfd}};

	a.bytes[7] = (uint8_t)(node + 1);
	a.bytes[14] = (uint8_t)(n >> 8);
	a.bytes[15] = (uint8_t)n;
	return a;
}

void sim_all_links(struct sim *s, const struct sim_link *like)
{
	for (unsigned i = 0; i < SIM_NODES_MAX; i++) {
		for (unsigned j = 0; j < SIM_NODES_MAX; j++)
			s->links[i][j] = *like;
	}
}

static void set_id(struct id *id, unsigned node, unsigned n)
{
	char text[32];

	snprintf(text, sizeof(text), "node%u-%u.example", node, n);
	if (!id_parse(text, id))
		abort();
}

static void add_selector(struct ts_list *l, unsigned node, unsigned n)
{
	char text[32];

	snprintf(text, sizeof(text), "172.%u.%u.%u/32", 16 + node, n >> 8, n & 255);
	if (!ts_parse(text, &l->ts[l->n++]))
		abort();
}

struct conn *sim_conn(struct sim *s, unsigned a, unsigned b, unsigned n)
{
	const struct sim_nat *nat = &s->nodes[b].nat;
	struct child_config *child;
	struct conn *conn;
	char name[32];

	snprintf(name, sizeof(name), "to%u-%u", b, n);
	conn = conn_new(name);
	child = conn ? conn_add_child(conn, "net") : NULL;
	if (!child)
		abort();
	conn->local[0] = (struct host){.kind = HOST_ADDR, .addr = sim_addr(a, n)};
	conn->remote[0] = (struct host){.kind = HOST_ADDR, .addr = sim_addr(b, n)};
	if (nat->on)
		conn->remote[0].addr = nat->public_addr;
	set_id(&conn->local_id, a, n);
	set_id(&conn->remote_id, b, n);
	conn->remote_id_set = true;
	child->local_ts.n = child->remote_ts.n = 0;
	add_selector(&child->local_ts, a, n);
	add_selector(&child->remote_ts, b, n);
	return conn;
}

static void command_or_die(struct sim *s, unsigned node, const struct ike_command *command)
{
	const char *error = NULL;

	if (s->nodes[node].back_at)
		s->nodes[node].back_at = s->now;
	sim_revive(&s->nodes[node]);
	if (!ike_engine_command(s->nodes[node].engine, command, &error, s->now)) {
		fprintf(stderr, "sim: node%u refuses command %d: %s\n", node, (int)command->kind,
			error ? error : "no reason");
		abort();
	}
	sim_drain(s, node);
}

void sim_load(struct sim *s, unsigned node, struct conn *conn, uint32_t tunnel)
{
	struct ike_command load = {.kind = IKE_COMMAND_LOAD_CONN, .conn = conn, .tunnel = tunnel};
	struct ike_command secret = {.kind = IKE_COMMAND_LOAD_SECRET};

	load.inherited = sim_plane_inherited(&s->nodes[node], tunnel);
	if (!ike_engine_secret(s->nodes[node].engine, 0)) {
		secret.secret =
			secret_new("all", SECRET_IKE, span_str(s->held_secrets ? "" : SIM_SECRET));
		secret.secret->held = s->held_secrets;
		command_or_die(s, node, &secret);
	}
	command_or_die(s, node, &load);
}

void sim_pair(struct sim *s, unsigned start)
{
	for (unsigned i = 0; i < 2; i++) {
		struct conn *conn = sim_conn(s, i, 1 - i, 0);

		if (start & (1u << i))
			conn->children[0].start_action = ACTION_START;
		sim_load(s, i, conn, 1);
	}
}

/* ---- running ---- */

void sim_idle(struct sim *s, unsigned node)
{
	ike_engine_idle(s->nodes[node].engine, s->now);
	sim_drain(s, node);
}

static mono_time next_deadline(const struct sim *s)
{
	mono_time at = sim_net_deadline(s);

	for (unsigned i = 0; i < s->n_nodes; i++) {
		const struct sim_node *n = &s->nodes[i];
		mono_time d = n->back_at ? n->back_at : ike_engine_deadline(n->engine);

		if (d < at)
			at = d;
		if (n->traffic_every && n->traffic_at < at)
			at = n->traffic_at;
		if (!n->back_at && sim_pool_deadline(n) < at)
			at = sim_pool_deadline(n);
	}
	return at;
}

/* Everything that is due at `at`; false when there is nothing before `limit`. */
static bool step(struct sim *s, mono_time limit)
{
	mono_time at = next_deadline(s);

	if (at > limit || s->violation[0])
		return false;
	if (at > s->now) {
		s->now = at;
		s->steps_now = 0;
	} else if (++s->steps_now > SIM_STEPS_PER_INSTANT) {
		sim_fail(s, "no progress: %u steps at one instant", s->steps_now);
		return false;
	}
	for (unsigned i = 0; i < s->n_nodes; i++) {
		struct sim_node *n = &s->nodes[i];

		sim_revive(n);
		if (sim_lives(n) && ike_engine_deadline(n->engine) <= s->now) {
			ike_engine_expire(n->engine, s->now);
			sim_drain(s, i);
		}
		if (sim_lives(n) && sim_pool_deadline(n) <= s->now) {
			sim_pool_answer(n);
			sim_drain(s, i);
		}
		sim_plane_reap(n);
		if (n->traffic_every && n->traffic_at <= s->now)
			sim_plane_traffic(n);
	}
	sim_net_deliver(s);
	for (unsigned i = 0; s->idle && i < s->n_nodes; i++)
		if (sim_lives(&s->nodes[i]) && sim_random(&s->rng) % 1000 < s->idle)
			sim_idle(s, i);
	return true;
}

void sim_run(struct sim *s, mono_time duration)
{
	mono_time end = s->now + duration;

	while (step(s, end)) {
	}
	if (!s->violation[0])
		s->now = end;
}

void sim_settle(struct sim *s, mono_time limit)
{
	mono_time end = s->now + limit;

	while (s->n_packets && step(s, end)) {
	}
}

bool sim_run_until(struct sim *s, sim_condition *done, mono_time limit)
{
	mono_time end = s->now + limit;

	while (!done(s)) {
		if (!step(s, end))
			return false;
	}
	return true;
}

uint64_t sim_hold(struct sim *s, unsigned node, const char *ike)
{
	struct ike_command c = {.kind = IKE_COMMAND_TERMINATE,
				.tag = ++s->next_tag,
				.select = {.ike = ike},
				.hold = true};

	command_or_die(s, node, &c);
	return c.tag;
}

uint64_t sim_reauth(struct sim *s, unsigned node, const char *ike)
{
	struct ike_command c = {.kind = IKE_COMMAND_REKEY,
				.tag = ++s->next_tag,
				.select = {.ike = ike},
				.reauth = true};

	command_or_die(s, node, &c);
	return c.tag;
}

uint64_t sim_command(struct sim *s, unsigned node, enum ike_command_kind kind, const char *ike,
		     const char *child)
{
	struct ike_command c = {.kind = kind,
				.tag = ++s->next_tag,
				.name = ike,
				.select = {.ike = ike, .child = child}};

	command_or_die(s, node, &c);
	return c.tag;
}

const struct sim_tag *sim_done(const struct sim *s, unsigned node, uint64_t tag)
{
	const struct sim_node *n = &s->nodes[node];

	for (unsigned i = 0; i < n->n_tags && i < SIM_TAGS_MAX; i++) {
		if (n->tags[i].tag == tag)
			return &n->tags[i];
	}
	return NULL;
}

/* ---- outputs ---- */

static void note_event(struct sim_node *n, const struct ike_output *o)
{
	n->events[o->event]++;
	n->last_event_at[o->event] = n->sim->now;
	if (o->event == IKE_EVENT_FAILED || o->event == IKE_EVENT_IKE_DOWN ||
	    o->event == IKE_EVENT_CHILD_DOWN) {
		n->last_reason = o->reason;
		memcpy(n->last_detail, o->reason_detail, sizeof(n->last_detail));
	}
	if (o->event == IKE_EVENT_COMMAND_DONE)
		n->tags[n->n_tags++ % SIM_TAGS_MAX] =
			(struct sim_tag){.tag = o->tag, .ok = o->ok, .reason = o->reason};
}

static void note_vips(struct sim_node *n, const struct ike_output *o)
{
	unsigned tunnel = o->tunnel % SIM_TUNNELS_MAX;

	n->vips_told++;
	n->n_vips[tunnel] = o->n_vips;
	memcpy(n->vips[tunnel], o->vips, sizeof(o->vips));
}

static void answer_query(struct sim_node *n, const struct ike_output *o)
{
	struct ike_answer answer = {0};

	n->asked = o->query;
	if (strcmp(o->name, SIM_UNANSWERED) == 0)
		return;
	if (addr_parse(o->name, &answer.addrs[0]))
		answer.n = 1;
	answer.own[0] = sim_addr(n->index, 0);
	ike_engine_answer(n->engine, o->query, &answer, n->sim->now);
}

/* What changed is written before it is carried out. */
static bool sim_next(struct sim_node *n, struct ike_output *o)
{
	if (sim_dies(n)) /* before it is written; the input never was */
		return false;
	sim_publish(n);
	return !sim_dies(n) && ike_engine_next(n->engine, o);
}

void sim_drain(struct sim *s, unsigned node)
{
	struct sim_node *n = &s->nodes[node];
	struct ike_output o;

	n->draining++;
	while (sim_next(n, &o)) {
		if (sim_repeated(n, &o))
			continue;
		sim_transcribe(s, node, &o);
		switch (o.kind) {
		case IKE_OUTPUT_SEND:
			sim_check_sent(n, o.datagram);
			sim_net_send(s, node, &o.path, o.datagram);
			break;
		case IKE_OUTPUT_KEEPALIVE:
			n->keepalives++;
			sim_net_send(s, node, &o.path, span_of("\xff", 1));
			break;
		case IKE_OUTPUT_CHILD_INSTALL:
			if (o.resumed)
				sim_plane_resume(n, &o.child);
			else
				sim_plane_install(n, &o.child);
			break;
		case IKE_OUTPUT_CHILD_UPDATE:
			sim_plane_update(n, &o.child);
			break;
		case IKE_OUTPUT_CHILD_REMOVE:
			sim_plane_remove(n, o.child.id);
			break;
		case IKE_OUTPUT_QUERY_RESOLVE:
			answer_query(n, &o);
			break;
		case IKE_OUTPUT_QUERY_LEASE:
			sim_pool_query(n, &o);
			break;
		case IKE_OUTPUT_LEASE_RELEASE:
			sim_pool_release(n, o.query);
			break;
		case IKE_OUTPUT_VIPS:
			note_vips(n, &o);
			break;
		case IKE_OUTPUT_EVENT:
			note_event(n, &o);
			break;
		}
	}
	if (--n->draining == 0)
		sim_input_over(n);
}
