/* sd_notify and its store of descriptors. */
#include "lib/notify.h"
#include "lib/mono.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#define BARRIER_US 5000000

bool notify_on(void)
{
	const char *socket = getenv("NOTIFY_SOCKET");

	return socket && socket[0];
}

void notify_send(const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!notify_on())
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sd_notify(0, text);
}

/* A text may come from who must not say more than that: its lines are made one. */
void notify_status(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *at = text; *at; at++)
		*at = *at == '\n' ? ' ' : *at;
	notify_send("STATUS=%s", text);
}

void notify_reloading(void)
{
	notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, mono_now() / 1000);
}

/* FDPOLL=0: an ICMP error at a UDP socket is no reason to throw the socket away. */
void notify_store(const char *name, int fd)
{
	char text[300];

	if (!notify_on())
		return;
	notify_forget(name);
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void notify_forget(const char *name)
{
	notify_send("FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void notify_each_stored(void (*cb)(void *ctx, const char *name, int fd), void *ctx)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < n; i++) {
		cb(ctx, names[i], SD_LISTEN_FDS_START + i);
		free(names[i]);
	}
	free(names);
}

bool notify_unit(char *out, size_t size)
{
	char *unit = NULL;
	int n = sd_pid_get_unit(0, &unit) < 0 ? -1 : snprintf(out, size, "%s", unit);

	free(unit);
	return n > 0 && (size_t)n < size;
}

double notify_watchdog(void)
{
	uint64_t us;

	return notify_on() && sd_watchdog_enabled(0, &us) > 0 ? (double)us / 1e6 : 0.;
}

void notify_barrier(void)
{
	if (notify_on())
		sd_notify_barrier(0, BARRIER_US);
}
