/* What comes in beside datagrams: answers of name servers, changes of addresses and links; and the
 * device that the sockets are bound to, which comes and goes with them. */
#include "ipsecd/net/changes.h"
#include "ipsecd/net/resolve.h"
#include "ipsecd/net/source.h"
#include "ipsecd/shell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void network_resolved(void *ctx, uint64_t query, unsigned n, const struct addr *addrs,
		      const char *why)
{
	struct ike_answer answer = {.n = n < 8 ? n : 8, .why = why};
	struct daemon *d = ctx;

	memcpy(answer.addrs, addrs, answer.n * sizeof(*addrs));
	for (unsigned i = 0; i < answer.n; i++) {
		effects_resolved(d->effects, &addrs[i]);
		if (!source_towards(d->netlink, &addrs[i], d->bind_device, &answer.own[i]))
			answer.own[i] = (struct addr){0};
	}
	ike_engine_answer(d->engine, query, &answer, mono_now());
	shell_pump(d);
}

/* No route, no such source address: the engine tries again, but "no answer" alone would
 * send the operator to the wrong place. */
void network_send_failed(void *ctx, const struct endpoint *local, const struct endpoint *remote,
			 int error, bool esp)
{
	static struct log_limit limit = {.burst = 5};
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT];
	struct daemon *d = ctx;

	early_send_failed(d->early, local, remote, error);
	if (esp)
		return;
	send_errors_failed(&d->send_errors, &remote->addr, error, mono_now());
	if (log_limit_pass(&limit, mono_now()))
		log_to(d->log, LOG_LEVEL_WARN, "net", "", "sending from %s to %s failed: %s%s",
		       endpoint_format(local, from), endpoint_format(remote, to), strerror(error),
		       error == EINVAL || error == ENETUNREACH
			       ? " (is there a route, is the source address one of ours?)"
			       : "");
}

int network_send_error(void *ctx, const struct addr *to)
{
	const struct daemon *d = ctx;

	return send_errors_of(&d->send_errors, to, mono_now());
}

/* ---- the device of the sockets ---- */

#define NOWHERE "lo"

static void tell_early(struct daemon *d)
{
	struct netlink_link link = {0};

	if (d->bind_device[0] && netlink_link_find(d->netlink, d->bind_device, &link) != 0)
		link.ifindex = -1;
	early_bind(d->early, link.ifindex);
}

/* While it is missing nothing leaves by another VRF, where the peer's address is someone else's. */
static void bind_to(struct daemon *d)
{
	int e = d->means->act->bind(d->means, d->bind_device);
	bool ok = e == 0 || !d->bind_device[0];

	if (e != -EBUSY)
		tell_early(d);
	if (ok && d->bind_failed)
		log_to(d->log, LOG_LEVEL_NOTICE, "net", d->bind_device,
		       "the sockets are bound to it");
	if (e == -EBUSY) {
		if (!d->bind_failed)
			log_to(d->log, LOG_LEVEL_ERROR, "net", d->bind_device,
			       "bind-device: several threads carry packets (workers), whose "
			       "sockets can't be bound anew: not in force until ipsecd, or its "
			       "plane, is started anew");
	} else if (!ok) {
		if (!d->bind_failed)
			log_to(d->log, LOG_LEVEL_ERROR, "net", d->bind_device,
			       "bind-device: %s; no packet leaves or comes in until it is there",
			       strerror(-e));
		d->means->act->bind(d->means, NOWHERE);
	}
	d->bind_failed = e == -EBUSY || !ok;
}

void network_bind(struct daemon *d, const char *device)
{
	if (d->bind_told && strcmp(d->bind_device, device) == 0)
		return;
	d->bind_told = true;
	memset(d->bind_device, 0, sizeof(d->bind_device));
	memcpy(d->bind_device, device, strnlen(device, sizeof(d->bind_device) - 1));
	d->bind_failed = false;
	bind_to(d);
}

/* ---- threads that carry packets ---- */

void network_workers(struct daemon *d, unsigned wanted)
{
	struct means *m = d->means;
	bool bound = d->bind_device[0] && wanted != 1;
	unsigned most, n;

	if (bound)
		wanted = 1;
	if (!m->act->workers(m, wanted))
		return;
	n = m->workers;
	most = m->workers_most;
	if (bound && n) { /* several: network_bind has said so */
		if (n == 1)
			log_to(d->log, LOG_LEVEL_WARN, "cfg", "",
			       "workers has no effect with bind-device: a socket that is bound to "
			       "a device shares its port no more");
		return;
	}
	if (wanted <= 1 && n <= 1)
		return;
	if (n == 0)
		log_to(d->log, LOG_LEVEL_WARN, "cfg", "",
		       "workers has no effect with the %s data plane", m->ops->name);
	else if (d->setup.open_helper == NULL)
		log_to(d->log, LOG_LEVEL_WARN, "cfg", "",
		       "workers has no effect in a single process: one thread does everything");
	else if (wanted > most)
		log_to(d->log, LOG_LEVEL_WARN, "cfg", "",
		       "workers=%u: this machine has %u processors, and %u threads carry packets",
		       wanted, most, n);
	else if ((wanted ? wanted : most) != n)
		log_to(d->log, LOG_LEVEL_WARN, "cfg", "",
		       "workers=%u: %u threads carry packets until ipsecd is started anew%s",
		       wanted ? wanted : most, n,
		       n > wanted && wanted ? "; a reload does not end any"
					    : "; why is logged above");
}

/* No attempt waits for the end of its pause when the machine has an address or a cable more. */
static void on_changed(void *ctx)
{
	const struct ike_command retry = {.kind = IKE_COMMAND_RETRY_NOW};
	struct daemon *d = ctx;
	const char *error;

	log_to(d->log, LOG_LEVEL_DEBUG, "net", "", "addresses or links changed");
	if (d->bind_device[0])
		bind_to(d); /* it may be another device of that name */
	if (!d->stopping)
		shell_command(d, &retry, &error);
}

static void on_link_lost(void *ctx, int ifindex)
{
	struct daemon *d = ctx;

	early_link_lost(d->early, ifindex);
}

static void on_addr_lost(void *ctx, const struct addr *a)
{
	struct daemon *d = ctx;

	early_addr_lost(d->early, a);
}

static bool on_ours(void *ctx, int ifindex, const struct addr *a)
{
	const struct daemon *d = ctx;

	return effects_ours(d->effects, ifindex, a);
}

/* ---- opening ---- */

bool network_open(struct daemon *d, char *why, size_t size)
{
	const struct changes_host changes = {.changed = on_changed,
					     .link_lost = on_link_lost,
					     .addr_lost = on_addr_lost,
					     .ours = on_ours,
					     .ctx = d};

	d->resolver = d->helper ? NULL : resolver_new(d->loop, network_resolved, d);
	d->changes = changes_open(d->loop, &changes);
	if (!d->changes)
		log_to(d->log, LOG_LEVEL_WARN, "net", "",
		       "rtnetlink: %s; changes of addresses and links are not seen",
		       strerror(errno));
	if (!d->resolver && !d->helper)
		snprintf(why, size, "the resolver: c-ares does not start");
	return d->resolver || d->helper;
}
