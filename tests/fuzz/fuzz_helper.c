/* What ike and helper send each other, from an attacker's hand. The first byte chooses the body;
 * what is taken for good must go through the packer to the same bytes. */
#include "ipsecd/ipc/helper_body.h"
#include "ipsecd/ipc/link.h"
#include "ipsecd/loaded.h"

#include <stdlib.h>

static uint8_t memory[IPC_BODY_MAX];

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void mac_or_name(struct span body)
{
	struct ipc_resolved answer;
	struct ipc_resolve r;
	struct mac_view v;

	require(ipc_mac_check(body, &v) || v.octets.len >= 28u + 16u + v.prf->out_len);
	require(ipc_resolve_check(body, &r) || strlen(r.name) < sizeof(r.name));
	require(ipc_resolved_check(body, &answer) || strlen(answer.why) < sizeof(answer.why));
}

static void secret_or_script(struct span body)
{
	struct buf b = buf_over(memory, sizeof(memory));
	struct script_view script;
	struct secret_view s;

	if (!ipc_secret_check(body, &s)) {
		ipc_secret_put(&b, s.unique, s.data);
		require(span_equal(buf_span(&b), body));
	}
	b = buf_over(memory, sizeof(memory));
	if (!ipc_script_check(body, &script))
		require(ipc_script_put(&b, &script) && b.len == body.len &&
			!script.env[script.n_env]);
}

static void configuration(struct span body)
{
	struct config_errors errors = {0};
	struct config config = {0};
	char why[128];
	bool ok;

	if (!loaded_decode(body, &ok, &config, &errors, why, sizeof(why)))
		return;
	for (unsigned i = 0; i < config.n_secrets; i++)
		require(!config.secrets[i]->len && config.secrets[i]->held);
	config_free(&config);
	config_errors_free(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(struct span body) = {mac_or_name, secret_or_script,
							    configuration};
	uint8_t *copy;

	if (size < 1 || size > IPC_BODY_MAX)
		return 0;
	copy = malloc(size > 1 ? size - 1 : 1); /* exact bounds: every overread is seen */
	memcpy(copy, data + 1, size - 1);
	parsers[data[0] % 3](span_of(copy, size - 1));
	free(copy);
	return 0;
}
