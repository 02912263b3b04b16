/* The kernel's settings that U-turns need off, and what they were before: that stands in a file,
 * too, so that it can be given back when the bridge was killed meanwhile. */
#ifndef DETOUR_TURN_SETTINGS_H
#define DETOUR_TURN_SETTINGS_H

#include <stdbool.h>

struct turn_settings;

/* Gives back what the file tells of an earlier bridge, and removes it. `path` is copied.
 * NULL when out of memory. */
struct turn_settings *turn_settings_new(const char *path);
/* Gives all back. */
void turn_settings_free(struct turn_settings *t);

/* Switches them off on the device ("all" counts for every one); how often does not matter.
 * Returns NULL, or the name of a setting that stays on; errno says why. */
const char *turn_settings_off(struct turn_settings *t, const char *device);
/* Gives the device's back. */
void turn_settings_back(struct turn_settings *t, const char *device);

#endif
