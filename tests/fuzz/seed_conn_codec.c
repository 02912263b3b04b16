/* Seeds of fuzz_conn_codec in today's format: what the golden files say, each connection and each
 * secret in a file of FOLDER, and one of each other kind. From the top of the tree:
 *	seed_conn_codec FOLDER */
#include "tests/fuzz/seed.h"
#include "ipsecd/config/config.h"
#include "ipsecd/publish_body.h"
#include "lib/buf.h"

#include <glob.h>

enum { CONN, SETTINGS, SECRET, UPDOWN, POOL }; /* fuzz_conn_codec's first byte */

static uint8_t memory[1 << 16];

static struct buf begin(uint8_t kind)
{
	struct buf b = buf_over(memory, sizeof(memory));

	buf_put_u8(&b, kind);
	return b;
}

static void end(struct codec_result r, const struct buf *b)
{
	if (!r.error)
		seed_write(buf_span(b));
}

static void write_conn(const struct conn *conn)
{
	struct buf b = begin(CONN);

	end(conn_encode(conn, &b), &b);
}

static void write_secret(const struct secret *secret)
{
	struct buf b = begin(SECRET);

	end(secret_encode(secret, true, &b), &b);
}

static void write_settings(const struct settings *settings)
{
	struct buf b = begin(SETTINGS);

	end(settings_encode(settings, &b), &b);
}

static void write_config(const char *conf, const char *secrets)
{
	struct config_errors errors = {0};
	struct config config = {0};

	config_load(conf, secrets, &config, &errors);
	for (unsigned i = 0; i < config.n_conns; i++)
		write_conn(config.conns[i].conn);
	for (unsigned i = 0; i < config.n_secrets; i++)
		write_secret(config.secrets[i]);
	if (config.n_conns)
		write_settings(&config.settings);
	config_errors_free(&errors);
	config_free(&config);
}

static void write_golden(void)
{
	glob_t confs, secrets;

	if (glob("tests/golden/ipsec.conf/*.in", 0, NULL, &confs) ||
	    glob("tests/golden/ipsec.secrets/*.in", 0, NULL, &secrets))
		seed_fail("no golden files: this is not the top of the tree");
	for (size_t i = 0; i < confs.gl_pathc; i++)
		write_config(confs.gl_pathv[i], NULL);
	for (size_t i = 0; i < secrets.gl_pathc; i++)
		write_config(NULL, secrets.gl_pathv[i]);
	globfree(&confs);
	globfree(&secrets);
}

static void write_others(void)
{
	struct publish_pool pool = {.name = "pool", .addrs = "10.0.0.0/24", .n_dns = 1};
	struct updown_told told = {
		.conn = "conn", .child = "net", .script = "/bin/true", .tunnel = 1};
	struct buf b = begin(POOL);

	addr_parse("10.0.0.1", &pool.dns[0]);
	end(publish_encode_pool(&pool, &b), &b);
	b = begin(UPDOWN);
	end(publish_encode_updown(&told, &b), &b);
}

int main(int argc, char **argv)
{
	seed_begin(argc, argv);
	write_golden();
	write_others();
	return 0;
}
