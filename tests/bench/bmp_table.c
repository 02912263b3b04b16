/* The table of paths alone, for tests and measurements: listens for bgpd's BMP and, on
 * request, asks bgpd's vty for the same. Commands on standard input, one a line:
 *	dump	every path that BMP told, as a line of JSON
 *	ask	every path that bgpd's vty tells
 *	watch	from now on a line for each peer that comes up or goes, with CLOCK_MONOTONIC
 *	count	figures: paths, memory, time since the connection until it was told completely
 * Each answer ends with a line "."
 *	bmp_table ADDRESS:PORT VTYDIR */
#include "routed-bridge/bgp_json.h"
#include "routed-bridge/bmp_listener.h"
#include "routed-bridge/vty.h"

#include <ev.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct program {
	struct ev_loop *loop;
	struct paths *paths, *asked;
	struct bmp_listener *listener;
	struct bmp_listener_host host;
	struct vty *vty;
	bool watching;
	mono_time connected, last;
	unsigned step;
	ev_io input;
	size_t len;
	char line[256];
};

static void print_addr(const char *key, const struct addr *a)
{
	char text[ADDR_TEXT];

	if (a->family)
		printf("\"%s\":\"%s\",", key, addr_format(a, text));
}

static void print_path(const struct prefix *prefix, const struct path *path)
{
	const struct path_attrs *a = path->attrs;
	char text[PREFIX_TEXT];

	printf("{\"prefix\":\"%s\",", prefix_format(prefix, text));
	print_addr("peer", &path->peer->key.addr);
	print_addr("local", &path->peer->local);
	print_addr("nexthop", &a->nexthop);
	print_addr("nexthop_local", &a->nexthop_local);
	if (a->has_med)
		printf("\"med\":%u,", a->med);
	printf("\"as\":%u,\"local_as\":%u,\"id\":%u,\"origin\":%u,\"length\":%u,\"path\":[",
	       path->peer->as, path->peer->local_as, path->peer->key.id, a->origin, a->as_length);
	for (unsigned i = 0; i < a->n_as; i++)
		printf("%s%u", i ? "," : "", a->as_path[i]);
	printf("]}\n");
}

static void print_prefix(void *ctx, const struct prefix *prefix, const struct path *first)
{
	(void)ctx;
	for (; first; first = first->next)
		print_path(prefix, first);
}

static void end_answer(void)
{
	puts(".");
	fflush(stdout);
}

static void on_answer(void *ctx, struct span text, uint8_t status, const char *why)
{
	static const char *const commands[] = {"show bgp ipv4 unicast json",
					       "show bgp ipv6 unicast json"};
	struct program *p = ctx;
	bool ok =
		!why && status == VTY_SUCCESS &&
		(p->step == 0 ? bgp_json_neighbors(p->asked, text)
			      : bgp_json_routes(p->asked, text, p->step == 1 ? AF_INET : AF_INET6));

	if (!ok)
		printf("{\"error\":\"%s\"}\n", why ? why : "not understood");
	if (ok && p->step < 2 && vty_ask(p->vty, "bgpd", commands[p->step++], on_answer, p))
		return;
	paths_resync_end(p->asked, "");
	paths_each_prefix(p->asked, print_prefix, NULL);
	end_answer();
}

static void print_count(const struct program *p)
{
	struct paths_count n = paths_count(p->paths);
	struct bmp_listener_state s = bmp_listener_state(p->listener);
	struct mallinfo2 memory = mallinfo2();

	printf("{\"prefixes\":%zu,\"paths\":%zu,\"attrs\":%zu,\"peers_up\":%zu,\"synced\":%s,"
	       "\"resyncs\":%llu,\"doubts\":%llu,\"messages\":%llu,\"heap\":%zu,\"took_ms\":%.1f}"
	       "\n",
	       n.prefixes, n.paths, n.attrs, n.peers_up, s.synced ? "true" : "false",
	       (unsigned long long)s.resyncs, (unsigned long long)s.feed.doubts,
	       (unsigned long long)s.feed.messages, memory.uordblks + memory.hblkhd,
	       (double)(p->last - p->connected) / 1e6);
}

static void obey(struct program *p, const char *command)
{
	if (strcmp(command, "ask") == 0) {
		p->step = 0;
		paths_resync_begin(p->asked);
		if (vty_ask(p->vty, "bgpd", "show bgp neighbors json", on_answer, p))
			return;
	} else if (strcmp(command, "dump") == 0) {
		paths_each_prefix(p->paths, print_prefix, NULL);
	} else if (strcmp(command, "count") == 0) {
		print_count(p);
	} else if (strcmp(command, "watch") == 0) {
		p->watching = true;
	} else {
		printf("{\"error\":\"%s?\"}\n", command);
	}
	end_answer();
}

static void on_input(struct ev_loop *loop, ev_io *io, int events)
{
	struct program *p = io->data;
	ssize_t n = read(STDIN_FILENO, p->line + p->len, sizeof(p->line) - 1 - p->len);
	char *end;

	(void)events;
	if (n <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	p->len += (size_t)n;
	while ((end = memchr(p->line, '\n', p->len))) {
		size_t used = (size_t)(end - p->line) + 1;

		*end = '\0';
		obey(p, p->line);
		memmove(p->line, p->line + used, p->len - used);
		p->len -= used;
	}
}

/* ---- BMP ---- */

static void on_connected(void *ctx, const char *speaker)
{
	struct program *p = ctx;

	(void)speaker;
	p->connected = mono_now();
}

static void on_changed(void *ctx)
{
	struct program *p = ctx;
	struct path_change change;
	char text[ADDR_TEXT];

	while (paths_change(p->paths, &change)) {
		p->last = mono_now();
		if (change.kind == PATH_CHANGE_PREFIX || !p->watching)
			continue;
		printf("{\"peer\":\"%s\",\"up\":%s,\"reason\":\"%s\",\"at\":%llu}\n",
		       addr_format(&change.peer->key.addr, text),
		       change.kind == PATH_CHANGE_PEER_UP ? "true" : "false", change.peer->reason,
		       (unsigned long long)mono_now());
		fflush(stdout);
	}
}

static void nothing(void *ctx)
{
	(void)ctx;
}

int main(int argc, char **argv)
{
	struct program p = {.loop = ev_default_loop(EVFLAG_AUTO)};
	struct endpoint at;

	if (argc != 3 || !endpoint_parse(argv[1], &at)) {
		fprintf(stderr, "usage: bmp_table ADDRESS:PORT VTYDIR\n");
		return 2;
	}
	log_open("bmp_table", false, LOG_LEVEL_DEBUG);
	p.host = (struct bmp_listener_host){
		.connected = on_connected,
		.changed = on_changed,
		.synced = nothing,
		.lost = nothing,
		.ctx = &p,
		.log = log_default(),
		.loop = p.loop,
	};
	p.paths = paths_new();
	p.asked = paths_new();
	p.vty = vty_new(p.loop, argv[2], NULL);
	p.listener = bmp_listener_new(&p.host, p.paths, &at);
	ev_io_init(&p.input, on_input, STDIN_FILENO, EV_READ);
	p.input.data = &p;
	ev_io_start(p.loop, &p.input);
	ev_run(p.loop, 0);
	bmp_listener_free(p.listener);
	vty_free(p.vty);
	paths_free(p.paths);
	paths_free(p.asked);
	return 0;
}
