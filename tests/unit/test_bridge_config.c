/* routed-bridge.conf: every tests/golden/bridge-conf/NAME.conf gives NAME.ok, which holds
 * either what was understood or the errors. Bless a change with GOLDEN_WRITE=1. */
#include "routed-bridge/config.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOLDER "tests/golden/bridge-conf/"

static char *read_all(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 65536);

	*len = 0;
	if (f) {
		*len = fread(text, 1, 65535, f);
		fclose(f);
	}
	return text;
}

static void put_error(void *ctx, const char *line)
{
	fprintf(ctx, "%s\n", line);
}

static void put_quality(FILE *out, const struct bridge_quality_options *q)
{
	char text[ADDR_TEXT];

	if (!q->limits.probe)
		return;
	fprintf(out, " quality probe %llu loss %u over %llu rtt %llu jitter %llu hold %llu ms\n",
		(unsigned long long)(q->limits.probe / MONO_MS), q->limits.loss,
		(unsigned long long)(q->limits.loss_over / MONO_MS),
		(unsigned long long)(q->limits.rtt / MONO_MS),
		(unsigned long long)(q->limits.jitter / MONO_MS),
		(unsigned long long)(q->limits.hold / MONO_MS));
	fprintf(out, " quality metric +%u tag %u list %s peer %s\n", q->metric, q->tag,
		q->list[0] ? q->list : "-", q->peer.family ? addr_format(&q->peer, text) : "-");
}

static void put_section(FILE *out, const struct bridge_section *s)
{
	const struct bridge_options *o = &s->options;
	char text[PREFIX_TEXT];

	fprintf(out,
		"conn %s\n interface %s\n type %s\n tag %u\n distance %u\n metric %u\n"
		" selectors %s\n vips %s\n vrf %s\n table %u\n mtu %u\n weight %u\n",
		s->pattern, s->interface[0] ? s->interface : "-",
		bridge_type_format(o->type, o->instance, text), o->tag, o->distance, o->metric,
		o->selectors ? "yes" : "no", o->vips ? "yes" : "no", o->vrf[0] ? o->vrf : "-",
		o->table, o->mtu, o->weight);
	put_quality(out, &o->quality);
	for (size_t i = 0; i < s->n_prefixes; i++)
		fprintf(out, " prefix %s\n", prefix_format(&s->prefixes[i], text));
}

static char *understood(const char *path, const char *name)
{
	struct bridge_config *c;
	size_t len, out_len;
	char *text = read_all(path, &len), *out, type[24], at[ENDPOINT_TEXT];
	FILE *f = open_memstream(&out, &out_len);

	c = bridge_config_parse(name, span_of(text, len), put_error, f);
	if (c) {
		fprintf(f, "vici %s\nzserv %s\nvty-dir %s\nzebra %s\ndescribe %s\n", c->vici,
			c->zserv, c->vty_dir, c->zebra ? "auto" : "no", c->describe ? "yes" : "no");
		fprintf(f, "repair %s%s %s distance %u\n", c->repair.on ? "yes" : "no",
			c->repair.uturn ? " uturn" : "",
			bridge_type_format(c->repair.type, c->repair.instance, type),
			c->repair.distance);
		if (c->bmp.addr.family)
			fprintf(f, "bmp %s\n", endpoint_format_url(&c->bmp, at));
		if (c->bfd_dplane[0])
			fprintf(f, "bfd-dplane %s\n", c->bfd_dplane);
		if (c->bfd_hold != BRIDGE_BFD_HOLD)
			fprintf(f, "bfd-hold %u\n", c->bfd_hold);
		if (strcmp(c->control, BRIDGE_CONTROL_PATH) != 0)
			fprintf(f, "control %s\n", c->control[0] ? c->control : "no");
		if (c->metrics.addr.family)
			fprintf(f, "metrics %s\n", endpoint_format_url(&c->metrics, at));
		for (size_t i = 0; i < c->n_sections; i++)
			put_section(f, &c->sections[i]);
		bridge_config_free(c);
	}
	fclose(f);
	free(text);
	return out;
}

static void compare(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	char *got = understood(path, name), *expected, ok[256];
	size_t len;
	FILE *f;

	snprintf(ok, sizeof(ok), "%.*s.ok", (int)(strlen(path) - strlen(".conf")), path);
	if (getenv("GOLDEN_WRITE")) {
		f = fopen(ok, "w");
		fputs(got, f);
		fclose(f);
	}
	expected = read_all(ok, &len);
	assert_string_equal(got, expected);
	free(expected);
	free(got);
}

static void golden_files(void **state)
{
	glob_t files;

	(void)state;
	assert_int_equal(glob(FOLDER "*.conf", 0, NULL, &files), 0);
	assert_true(files.gl_pathc >= 3);
	for (size_t i = 0; i < files.gl_pathc; i++)
		compare(files.gl_pathv[i]);
	globfree(&files);
}

static void fail_error(void *ctx, const char *line)
{
	(void)ctx;
	fail_msg("%s", line);
}

static void own_name_beats_patterns(void **state)
{
	static const char text[] = "conn *\n tag 1\nconn a-*\n tag 2\nconn a-b\n tag 3\n";
	struct bridge_config *c = bridge_config_parse("test", span_str(text), fail_error, NULL);

	(void)state;
	assert_non_null(c);
	assert_int_equal(bridge_config_match(c, "a-b")->options.tag, 3);
	assert_int_equal(bridge_config_match(c, "a-c")->options.tag, 1);
	bridge_config_free(c);
	c = bridge_config_parse("test", span_str("conn a-?\n"), fail_error, NULL);
	assert_non_null(bridge_config_match(c, "a-c"));
	assert_null(bridge_config_match(c, "a-cc"));
	bridge_config_free(c);
}

static void ignore_error(void *ctx, const char *line)
{
	(void)line;
	++*(unsigned *)ctx;
}

static void too_many_types(void **state)
{
	char text[4096];
	size_t n = 0;
	unsigned errors = 0;

	(void)state;
	for (unsigned i = 1; i <= BRIDGE_SESSIONS_MAX + 1; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "conn c%u\n type table %u\n", i,
				      i);
	assert_null(bridge_config_parse("test", span_of(text, n), ignore_error, &errors));
	assert_int_equal(errors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_files),
		cmocka_unit_test(own_name_beats_patterns),
		cmocka_unit_test(too_many_types),
	};

	return cmocka_run_group_tests_name("bridge-config", tests, NULL, NULL);
}
