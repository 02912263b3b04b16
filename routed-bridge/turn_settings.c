/* Files of /proc/sys/net/ipv4/conf, of one digit each. */
#include "routed-bridge/turn_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

/* A packet may leave over the device that it came in on: its neighbour turns it then. For
 * such a packet the kernel looks for a way back to its source as if that came in on the device,
 * too, finds the table of turns there, and calls the source a martian: unless redirects and
 * reverse path filters are off. `all` counts for every device (the first by "or", the second
 * by the maximum), so that it is set once; other devices keep what they have themselves. */
static const char *const names[] = {"send_redirects", "rp_filter"};

#define SETTINGS (sizeof(names) / sizeof(names[0]))
#define OFF	 '0'

struct device {
	char name[IF_NAMESIZE];
	char old[SETTINGS]; /* OFF: not changed */
	UT_hash_handle hh;
};

struct turn_settings {
	char *path;
	struct device *devices;
};

/* ---- the kernel ---- */

static int open_setting(const char *device, const char *name, int flags)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", device, name);
	return open(path, flags | O_CLOEXEC);
}

/* OFF where there is none. */
static char value_of(const char *device, const char *name)
{
	int fd = open_setting(device, name, O_RDONLY);
	char value = OFF;

	if (fd < 0)
		return OFF;
	if (pread(fd, &value, 1, 0) != 1)
		value = OFF;
	close(fd);
	return value;
}

static bool set_value(const char *device, const char *name, char to)
{
	int fd = open_setting(device, name, O_WRONLY), error;
	bool good = fd >= 0 && pwrite(fd, &to, 1, 0) == 1;

	error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return good;
}

/* ---- the file: a line for each, "DEVICE SETTING VALUE" ---- */

/* Its folder may be another user's: no link is followed. */
static FILE *open_file(const struct turn_settings *t, int flags, const char *mode)
{
	int fd = open(t->path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *file = fd >= 0 ? fdopen(fd, mode) : NULL;

	if (fd >= 0 && !file)
		close(fd);
	return file;
}

/* Best effort: turns work without it, and nobody but a bridge that is killed needs it. */
static void remember(const struct turn_settings *t)
{
	FILE *file = t->devices ? open_file(t, O_WRONLY | O_CREAT | O_TRUNC, "w") : NULL;
	struct device *d, *next;

	if (!file) {
		unlink(t->path);
		return;
	}
	HASH_ITER (hh, t->devices, d, next) {
		for (size_t i = 0; i < SETTINGS; i++) {
			if (d->old[i] != OFF)
				fprintf(file, "%s %s %c\n", d->name, names[i], d->old[i]);
		}
	}
	fclose(file);
}

/* What somebody has set since then is left alone. */
static void give_back(const char *device, const char *name, char old)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		if (strcmp(names[i], name) == 0 && value_of(device, name) == OFF)
			set_value(device, name, old);
	}
}

static void recall(const struct turn_settings *t)
{
	FILE *file = open_file(t, O_RDONLY, "r");
	char device[IF_NAMESIZE], name[32], old;

	if (!file)
		return;
	while (fscanf(file, "%15s %31s %c", device, name, &old) == 3) {
		if (!strchr(device, '/') && (old == '1' || old == '2'))
			give_back(device, name, old);
	}
	fclose(file);
	unlink(t->path);
}

/* ---- devices ---- */

static struct device *find_or_add(struct turn_settings *t, const char *name)
{
	struct device *d;

	HASH_FIND_STR(t->devices, name, d);
	if (d || strlen(name) >= sizeof(d->name))
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	memcpy(d->name, name, strlen(name));
	memset(d->old, OFF, sizeof(d->old));
	HASH_ADD_STR(t->devices, name, d);
	return d;
}

const char *turn_settings_off(struct turn_settings *t, const char *device)
{
	struct device *d = find_or_add(t, device);
	const char *refused = NULL;
	char value;

	if (!d) {
		errno = ENOMEM;
		return names[0];
	}
	for (size_t i = 0; i < SETTINGS; i++) {
		value = value_of(device, names[i]);
		if (value != OFF)
			d->old[i] = value;
	}
	remember(t); /* before it is changed */
	for (size_t i = 0; i < SETTINGS; i++) {
		if (d->old[i] != OFF && !set_value(device, names[i], OFF))
			refused = names[i];
	}
	return refused;
}

static void drop(struct turn_settings *t, struct device *d)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		if (d->old[i] != OFF)
			give_back(d->name, names[i], d->old[i]);
	}
	HASH_DEL(t->devices, d);
	free(d);
}

void turn_settings_back(struct turn_settings *t, const char *device)
{
	struct device *d;

	HASH_FIND_STR(t->devices, device, d);
	if (!d)
		return;
	drop(t, d);
	remember(t);
}

/* ---- life ---- */

struct turn_settings *turn_settings_new(const char *path)
{
	struct turn_settings *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->path = strdup(path);
	if (!t->path) {
		free(t);
		return NULL;
	}
	recall(t);
	return t;
}

void turn_settings_free(struct turn_settings *t)
{
	struct device *d, *next;

	if (!t)
		return;
	if (t->devices) {
		HASH_ITER (hh, t->devices, d, next)
			drop(t, d);
		remember(t);
	}
	free(t->path);
	free(t);
}
