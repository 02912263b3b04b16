/* Checking: lengths first, then each field, then the copy that the receiver works with. */
#include "ipsecd/ipc/helper_body.h"
#include "ipsecd/ipc/link.h"
#include "ipsecd/model/algorithm.h"
#include "lib/text.h"

#include <sys/socket.h>

/* RFC 7296 3.1 */
#define HEADER_LEN  28
#define VERSION_AT  17
#define EXCHANGE_AT 18
#define ID_AT	    20
#define LENGTH_AT   24
#define IKE_VERSION 0x20
#define IKE_SA_INIT 34
#define NONCE_MIN   16 /* RFC 7296 3.9 */
#define NONCE_MAX   256
#define TIMEOUT_MAX (3600u * 1000)

static bool take(struct span *body, void *out, size_t n)
{
	if (body->len < n)
		return false;
	memcpy(out, body->ptr, n);
	*body = span_of(body->ptr + n, body->len - n);
	return true;
}

static bool take_whole(struct span body, void *out, size_t n)
{
	return body.len == n && take(&body, out, n);
}

/* ---- PSK-MAC ---- */

/* The signer's first message is an IKE_SA_INIT with id 0 (RFC 7296 2.15). */
static bool is_first_message(struct span m)
{
	return m.len >= HEADER_LEN && m.ptr[VERSION_AT] == IKE_VERSION &&
	       m.ptr[EXCHANGE_AT] == IKE_SA_INIT && be32_get(m.ptr + ID_AT) == 0 &&
	       be32_get(m.ptr + LENGTH_AT) == m.len;
}

const char *ipc_mac_check(struct span body, struct mac_view *out)
{
	struct ipc_mac m;

	if (!take(&body, &m, sizeof(m)) || body.len > IPC_OCTETS_MAX)
		return "the length";
	out->held = m.held;
	out->prf = algorithm_prf(m.prf);
	out->octets = body;
	if (!out->prf)
		return "no such PRF";
	if (m.nonce_len < NONCE_MIN || m.nonce_len > NONCE_MAX)
		return "the nonce's length";
	if (m.message_len > body.len ||
	    body.len - m.message_len != (size_t)m.nonce_len + out->prf->out_len)
		return "the octets' length";
	return is_first_message(span_of(body.ptr, m.message_len))
		       ? NULL
		       : "the octets do not begin with an IKE_SA_INIT message";
}

bool ipc_mac_take(struct span body, uint8_t len, uint8_t *out)
{
	struct ipc_mac_answer a;
	bool ok = take_whole(body, &a, sizeof(a)) && a.result == IPC_MAC_OK && a.len == len &&
		  len <= sizeof(a.mac);

	if (ok)
		memcpy(out, a.mac, len);
	explicit_bzero(&a, sizeof(a));
	return ok;
}

/* ---- secrets ---- */

void ipc_secret_put(struct buf *b, const char *unique, struct span data)
{
	struct ipc_secret s = {.unique_len = (uint16_t)(strlen(unique) + 1),
			       .len = (uint16_t)data.len};

	if (strlen(unique) >= IPC_UNIQUE_MAX || data.len > IPC_SECRET_MAX) {
		b->overflow = true;
		return;
	}
	buf_put(b, &s, sizeof(s));
	buf_put(b, unique, s.unique_len);
	buf_put_span(b, data);
}

static bool is_string(const uint8_t *p, size_t n)
{
	return n > 0 && memchr(p, '\0', n) == p + n - 1;
}

const char *ipc_secret_check(struct span body, struct secret_view *out)
{
	struct ipc_secret s;

	if (!take(&body, &s, sizeof(s)) || s.unique_len > IPC_UNIQUE_MAX ||
	    s.len > IPC_SECRET_MAX || body.len != (size_t)s.unique_len + s.len)
		return "the length";
	if (!is_string(body.ptr, s.unique_len) || s.unique_len == 1)
		return "the name";
	out->unique = (const char *)body.ptr;
	out->data = span_of(body.ptr + s.unique_len, s.len);
	return NULL;
}

bool ipc_held_take(struct span body, uint64_t *held)
{
	struct ipc_held h;

	if (!take_whole(body, &h, sizeof(h)))
		return false;
	*held = h.held;
	return true;
}

/* ---- configuration ---- */

bool ipc_loaded_take(struct span body, uint64_t *generation, struct span *why)
{
	struct ipc_loaded l;

	if (!take(&body, &l, sizeof(l)) || (l.generation && body.len))
		return false;
	*generation = l.generation;
	*why = body;
	return true;
}

/* ---- names ---- */

static bool known_family(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

/* What a host's name, or an address, is made of (RFC 1123 2.1), and '_', which is seen. */
static bool is_host_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:%");

	return n > 0 && s[n] == '\0';
}

const char *ipc_resolve_check(struct span body, struct ipc_resolve *out)
{
	if (!take_whole(body, out, sizeof(*out)))
		return "the length";
	if (out->family && !known_family(out->family))
		return "the family";
	if (!memchr(out->name, '\0', sizeof(out->name)) || !is_host_name(out->name))
		return "the name";
	return NULL;
}

const char *ipc_resolved_check(struct span body, struct ipc_resolved *out)
{
	if (!take_whole(body, out, sizeof(*out)))
		return "the length";
	if (out->n > IPC_ADDRS_MAX)
		return "the number of addresses";
	for (unsigned i = 0; i < out->n; i++) {
		if (!known_family(out->addrs[i].family))
			return "an address";
	}
	out->why[sizeof(out->why) - 1] = '\0';
	text_clean(out->why, sizeof(out->why), out->why, strlen(out->why));
	return NULL;
}

/* ---- scripts ---- */

static void put_string(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s) + 1);
}

bool ipc_script_put(struct buf *b, const struct script_view *script)
{
	struct ipc_script s = {.job = script->job,
			       .line = script->line,
			       .timeout_ms = script->timeout_ms,
			       .n_env = (uint16_t)script->n_env};

	if (script->n_env > IPC_ENV_MAX)
		return false;
	buf_put(b, &s, sizeof(s));
	put_string(b, script->name);
	put_string(b, script->what);
	put_string(b, script->command);
	for (unsigned i = 0; i < script->n_env; i++)
		put_string(b, script->env[i]);
	return true;
}

/* A string of printable characters; NULL: it is none, or longer than `max` with its NUL. */
static char *take_string(struct span *rest, size_t max)
{
	const uint8_t *end = rest->len ? memchr(rest->ptr, '\0', rest->len) : NULL;
	char *s = (char *)(uintptr_t)rest->ptr;

	if (!end || (size_t)(end - rest->ptr) >= max)
		return NULL;
	for (const uint8_t *c = rest->ptr; c < end; c++) {
		if (text_is_control(0, (char)*c))
			return NULL;
	}
	*rest = span_of(end + 1, rest->len - (size_t)(end + 1 - rest->ptr));
	return s;
}

const char *ipc_script_check(struct span body, struct script_view *out)
{
	struct ipc_script s;

	if (!take(&body, &s, sizeof(s)))
		return "the length";
	*out = (struct script_view){
		.job = s.job, .line = s.line, .timeout_ms = s.timeout_ms, .n_env = s.n_env};
	if (!s.job)
		return "the job's number";
	if (s.timeout_ms == 0 || s.timeout_ms > TIMEOUT_MAX)
		return "the time limit";
	if (s.n_env > IPC_ENV_MAX)
		return "the number of variables";
	out->name = take_string(&body, IPC_UNIQUE_MAX);
	out->what = out->name ? take_string(&body, IPC_NAME_MAX) : NULL;
	out->command = out->what ? take_string(&body, IPC_COMMAND_MAX) : NULL;
	if (!out->command)
		return "the connection's name, the verb or the command";
	for (unsigned i = 0; i < s.n_env; i++) {
		out->env[i] = take_string(&body, IPC_BODY_MAX);
		if (!out->env[i])
			return "a variable";
	}
	return body.len ? "the length" : NULL;
}

bool ipc_ran_take(struct span body, uint64_t *job)
{
	struct ipc_ran r;

	if (!take_whole(body, &r, sizeof(r)))
		return false;
	*job = r.job;
	return true;
}
