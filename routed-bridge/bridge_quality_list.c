/* bgpd's prefix lists of peers whose tunnels are not good, for the operator's route-maps. A list is
 * read, compared and changed over bgpd's vty socket; and read again from time to time, since bgpd
 * may have been restarted. It is all in bgpd's running configuration, nothing in its file. */
#include "routed-bridge/bridge_parts.h"
#include "routed-bridge/prefix_list.h"
#include "routed-bridge/vty.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#define AGAIN_SECONDS 10.
#define COMMANDS_MAX  64 /* of one round */

struct quality_list {
	struct quality_lists *owner;
	char name[BRIDGE_LIST_MAX];
	uint8_t family;
	bool reading;
	struct prefix_list_addrs wanted, is;
	struct quality_list *prev, *next;
};

struct quality_lists {
	struct bridge *b;
	struct vty *vty;
	struct quality_list *lists;
	ev_timer again;
	bool complained;
};

static void complain(struct quality_lists *l, const char *name, const char *what)
{
	if (!l->complained)
		log_to(l->b->log, LOG_LEVEL_WARN, "quality", "", "prefix list %s: %s", name, what);
	l->complained = true;
}

static void on_done(void *ctx, struct span text, uint8_t status, const char *why)
{
	struct quality_list *list = ctx;
	char what[160];

	if (!why && status == VTY_SUCCESS)
		return;
	snprintf(what, sizeof(what), "bgpd: %s%.*s",
		 why ? why : "refuses: ", why ? 0 : (int)(text.len < 100 ? text.len : 100),
		 (const char *)text.ptr);
	complain(list->owner, list->name, what);
}

static bool say(struct quality_list *list, const char *command)
{
	return vty_ask(list->owner->vty, "bgpd", command, on_done, list);
}

/* The session of a vty socket begins without rights, and stays where a command leaves it. */
static void change(struct quality_list *list)
{
	char command[PREFIX_LIST_COMMAND];
	unsigned n = 0;

	while (n < COMMANDS_MAX &&
	       prefix_list_command(list->name, list->family, &list->is, &list->wanted, command)) {
		if (n++ == 0 && (!say(list, "enable") || !say(list, "configure terminal")))
			return;
		log_to(list->owner->b->log, LOG_LEVEL_NOTICE, "quality", "", "bgpd: %s", command);
		if (!say(list, command))
			break;
	}
	if (n)
		say(list, "end");
}

static void on_read(void *ctx, struct span text, uint8_t status, const char *why)
{
	struct quality_list *list = ctx;

	list->reading = false;
	/* A list that is not there is an error for some releases, nothing for others. */
	if (why) {
		complain(list->owner, list->name, why);
		return;
	}
	if (status == VTY_SUCCESS)
		list->owner->complained = false;
	prefix_list_read(status == VTY_SUCCESS ? text : span_of("", 0), list->family, &list->is);
	change(list);
}

void quality_lists_sync(struct quality_lists *l)
{
	struct quality_list *list;
	char command[PREFIX_LIST_COMMAND];

	DL_FOREACH (l->lists, list) {
		if (list->reading)
			continue;
		snprintf(command, sizeof(command), "show %s prefix-list %s",
			 list->family == AF_INET6 ? "ipv6" : "ip", list->name);
		list->reading = vty_ask(l->vty, "bgpd", command, on_read, list);
	}
}

static void on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	quality_lists_sync(w->data);
}

/* A list that is named no longer stays here, empty. */
void quality_lists_begin(struct quality_lists *l)
{
	struct quality_list *list;

	DL_FOREACH (l->lists, list)
		list->wanted.n = 0;
}

static struct quality_list *find(struct quality_lists *l, const char *name, uint8_t family)
{
	struct quality_list *list;

	DL_FOREACH (l->lists, list)
		if (list->family == family && strcmp(list->name, name) == 0)
			return list;
	list = calloc(1, sizeof(*list));
	if (!list)
		return NULL;
	list->owner = l;
	list->family = family;
	snprintf(list->name, sizeof(list->name), "%s", name);
	DL_APPEND(l->lists, list);
	return list;
}

/* peer NULL: none; but the list is known, and what an earlier bridge left in it goes. */
void quality_lists_put(struct quality_lists *l, const char *name, const struct addr *peer)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	for (unsigned i = 0; i < 2; i++) {
		struct quality_list *list = find(l, name, families[i]);

		if (list && peer && peer->family == families[i] &&
		    !prefix_list_add(&list->wanted, peer))
			complain(l, name, "it has too many addresses");
	}
	if (!ev_is_active(&l->again))
		ev_timer_start(l->b->loop, &l->again);
}

struct quality_lists *quality_lists_new(struct bridge *b)
{
	struct quality_lists *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->b = b;
	l->vty = vty_new(b->loop, b->config->vty_dir, NULL);
	ev_timer_init(&l->again, on_again, AGAIN_SECONDS, AGAIN_SECONDS);
	l->again.data = l;
	if (l->vty)
		return l;
	free(l);
	return NULL;
}

void quality_lists_free(struct quality_lists *l)
{
	struct quality_list *list, *next;

	if (!l)
		return;
	ev_timer_stop(l->b->loop, &l->again);
	vty_free(l->vty);
	DL_FOREACH_SAFE (l->lists, list, next)
		free(list);
	free(l);
}
