/* config setup -> settings of the daemon, and what holds for all conns. */
#include "ipsecd/config/build.h"
#include "lib/words.h"

#include <string.h>

#define RULE_PRIO_MAX	   32765 /* before the kernel's own rule for the main table */
#define UPDOWN_TIMEOUT_MAX 3600
#define KEEP_ON_STOP_MAX   3600

static const struct setting *given(const struct sections *s, enum keyword_id id)
{
	for (unsigned i = 0; s->setup && i < s->setup->n; i++) {
		const struct setting *set = &s->setup->settings[i];

		if (set->keyword->id == id && *set->value)
			return set;
	}
	return NULL;
}

static void unique_policy(const struct sections *s, struct setup *out, struct config_errors *errors)
{
	static const char *const words[] = {"yes", "replace", "no", "never", "keep", NULL};
	static const int meaning[] = {UNIQUE_REPLACE, UNIQUE_REPLACE, UNIQUE_NO, UNIQUE_NEVER,
				      UNIQUE_KEEP};
	const struct setting *set = given(s, KEYWORD_UNIQUEIDS);
	unsigned which = 0;

	if (set)
		value_word(errors, set, words, &which);
	out->unique = meaning[which];
}

static void number(const struct sections *s, enum keyword_id id, uint64_t min, uint64_t max,
		   uint32_t *out, struct config_errors *errors)
{
	const struct setting *set = given(s, id);
	uint64_t n;

	if (set && value_number(errors, set, min, max, &n))
		*out = (uint32_t)n;
}

static void flag(const struct sections *s, enum keyword_id id, bool *out,
		 struct config_errors *errors)
{
	const struct setting *set = given(s, id);

	if (set)
		value_bool(errors, set, out);
}

/* Not a device of ours, so that any name the kernel takes is fine. NULL: none given. */
static const struct setting *device(const struct sections *s, enum keyword_id id,
				    char out[IF_NAMESIZE], struct config_errors *errors)
{
	const struct setting *set = given(s, id);

	if (!set)
		return NULL;
	if (strlen(set->value) >= IF_NAMESIZE || strpbrk(set->value, "/ \t") ||
	    set->value[strspn(set->value, ".")] == '\0') {
		value_error(errors, set, "the name of a device, at most 15 characters");
		return NULL;
	}
	memset(out, 0, IF_NAMESIZE);
	memcpy(out, set->value, strlen(set->value));
	return set;
}

static void virtual_ip_device(const struct sections *s, struct settings *out,
			      struct config_errors *errors)
{
	const struct setting *set =
		device(s, KEYWORD_INSTALL_VIRTUAL_IP_ON, out->install_virtual_ip_on, errors);

	if (set && !out->install_virtual_ip)
		config_warning(errors, &set->key, "%s has no effect without install-virtual-ip=yes",
			       setting_name(set));
}

static void updown_timeout(const struct sections *s, struct settings *out,
			   struct config_errors *errors)
{
	const struct setting *set = given(s, KEYWORD_UPDOWN_TIMEOUT);
	mono_time t;

	if (!set || !value_duration(errors, set, MONO_S, &t))
		return;
	if (t < MONO_S || t > UPDOWN_TIMEOUT_MAX * MONO_S)
		value_error(errors, set, "a time from 1s to 1h");
	else
		out->updown_timeout = (uint32_t)(t / MONO_S);
}

/* As with metrics, `no` is the default. */
static void keep_on_stop(const struct sections *s, struct settings *out,
			 struct config_errors *errors)
{
	const struct setting *set = given(s, KEYWORD_KEEP_ON_STOP);
	mono_time t;

	if (!set || strcmp(set->value, "no") == 0)
		return;
	if (!words_parse_duration(set->value, &t) || t < MONO_S || t > KEEP_ON_STOP_MAX * MONO_S)
		value_error(errors, set, "a time from 1s to 1h, or no");
	else
		out->keep_on_stop = (uint32_t)(t / MONO_S);
}

/* `no` is the default, so that a file can switch off what one before it switched on. */
static void metrics(const struct sections *s, struct settings *out, struct config_errors *errors)
{
	const struct setting *set = given(s, KEYWORD_METRICS);

	if (!set || strcmp(set->value, "no") == 0)
		return;
	if (!endpoint_parse(set->value, &out->metrics))
		value_error(errors, set,
			    "ADDRESS:PORT, such as 127.0.0.1:9433 or [::1]:9433, or no");
	else if (!addr_is_loopback(&out->metrics.addr))
		config_warning(errors, &set->key,
			       "%s: whoever reaches %s can read the names and states of all "
			       "tunnels; nobody is asked for a password",
			       setting_name(set), set->value);
}

static void workers(const struct sections *s, struct settings *out, struct config_errors *errors)
{
	static const char *const words[] = {"auto", NULL};
	const struct setting *set = given(s, KEYWORD_WORKERS);
	char expected[64];
	uint64_t n;

	if (!set)
		return;
	if (strcmp(set->value, words[0]) == 0) {
		out->workers = 0;
	} else if (words_parse_number(set->value, SETTINGS_WORKERS_MAX, &n) && n >= 1) {
		out->workers = (uint32_t)n;
	} else {
		snprintf(expected, sizeof(expected), "a number from 1 to %u, or auto%s",
			 SETTINGS_WORKERS_MAX,
			 words_nearest(set->value, words) ? "; did you mean 'auto'?" : "");
		value_error(errors, set, expected);
	}
}

void setup_read(const struct sections *s, struct setup *out, struct settings *settings,
		struct config_errors *errors)
{
	bool managed = true;

	*settings = SETTINGS_DEFAULT;
	unique_policy(s, out, errors);
	flag(s, KEYWORD_IPSEC_INTERFACE_MANAGED, &managed, errors);
	out->unmanaged = !managed;
	flag(s, KEYWORD_INSTALL_ROUTES, &settings->install_routes, errors);
	number(s, KEYWORD_ROUTING_TABLE, 1, UINT32_MAX, &settings->routing_table, errors);
	number(s, KEYWORD_ROUTING_TABLE_PRIO, 0, RULE_PRIO_MAX, &settings->routing_table_prio,
	       errors);
	flag(s, KEYWORD_INSTALL_VIRTUAL_IP, &settings->install_virtual_ip, errors);
	virtual_ip_device(s, settings, errors);
	updown_timeout(s, settings, errors);
	keep_on_stop(s, settings, errors);
	metrics(s, settings, errors);
	flag(s, KEYWORD_EARLY_DETECTION, &settings->early_detection, errors);
	flag(s, KEYWORD_QUICK_CRASH_DETECTION, &settings->quick_crash_detection, errors);
	device(s, KEYWORD_BIND_DEVICE, settings->bind_device, errors);
	workers(s, settings, errors);
}
