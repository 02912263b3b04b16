/* ipsec.secrets: any text, includes that give the same text again. */
#include "ipsecd/config/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *include(void *ctx, const char *pattern, const char *from,
			   void (*give)(void *give_ctx, const char *path, struct span text),
			   void *give_ctx)
{
	(void)from;
	give(give_ctx, pattern, *(struct span *)ctx);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);
	struct config_reader reader = {.ctx = &text, .include = include};
	struct config_errors errors = {0};
	struct config config = {0};
	bool ok = ipsec_secrets_parse("fuzz", text, &reader, &config, &errors);

	if (ok != (errors.n_errors == 0) || (!ok && config.n_secrets))
		abort();
	for (unsigned i = 0; i < config.n_secrets; i++) {
		const struct secret *s = config.secrets[i];

		if (s->len == 0 || s->len > CONFIG_SECRET_BYTES || !secret_equal(s, s))
			abort();
	}
	config_errors_free(&errors);
	config_free(&config);
	return 0;
}
