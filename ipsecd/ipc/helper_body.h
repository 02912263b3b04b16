/* What ike and helper send each other, and helper and the supervisor: bodies of the verbs from
 * IPC_PSK_MAC to IPC_RAN. Pure: packing into a buffer of the caller's, and checking what came from
 * another process, which may be in an attacker's hands. Checked views point into the body. */
#ifndef DETOUR_HELPER_BODY_H
#define DETOUR_HELPER_BODY_H

#include "ipsecd/ipc/verbs.h"
#include "ipsecd/model/secret.h"
#include "lib/buf.h"

#define IPC_SECRET_MAX	16384 /* bytes of one secret */
#define IPC_UNIQUE_MAX	512   /* of its name, with the NUL */
#define IPC_HOST_NAME	256   /* with the NUL */
#define IPC_ADDRS_MAX	8
#define IPC_ENV_MAX	64   /* variables of a script */
#define IPC_COMMAND_MAX 4096 /* with the NUL */
#define IPC_WHY_MAX	128
#define IPC_OCTETS_MAX	65536

/* AUTH by a pre-shared key (RFC 7296 2.15), of IKE_SA_INIT message | nonce | prf(SK_p, ID): only
 * what has this form is computed, so that the answers are good for nothing else. */
struct ipc_mac {
	uint64_t held;
	uint16_t prf, nonce_len;
	uint32_t message_len; /* the octets follow */
};

enum ipc_mac_result { IPC_MAC_OK, IPC_MAC_UNKNOWN, IPC_MAC_TOO_MANY, IPC_MAC_REFUSED };

struct ipc_mac_answer {
	uint8_t result, len;
	uint8_t mac[64];
};

struct ipc_held {
	uint64_t held; /* 0 in an answer: it could not be kept */
};

struct ipc_secret { /* unique with its NUL and the secret follow */
	uint16_t unique_len;
	uint16_t len;
};

struct ipc_load {
	uint8_t whole; /* not only what changed since the last reading */
};

struct ipc_loaded {
	uint64_t generation; /* of this reading; 0: it could not be done, text why follows */
};

struct ipc_resolve {
	uint64_t query;
	uint8_t family; /* AF_INET, AF_INET6, 0: either */
	char name[IPC_HOST_NAME];
};

struct ipc_resolved {
	uint64_t query;
	uint8_t n;
	struct addr addrs[IPC_ADDRS_MAX];
	char why[IPC_WHY_MAX];
};

struct ipc_script { /* strings follow, each with its NUL: name, what, command, variables */
	uint64_t job;
	uint32_t line, timeout_ms;
	uint16_t n_env;
};

struct ipc_ran {
	uint64_t job;
};

/* ---- checked ---- */

struct mac_view {
	uint64_t held;
	const struct algorithm_prf *prf;
	struct span octets;
};

/* NULL: good; else what is wrong with it. */
const char *ipc_mac_check(struct span body, struct mac_view *out);
/* false: no answer to such a request, or result is not OK. out gets prf->out_len bytes. */
bool ipc_mac_take(struct span body, uint8_t len, uint8_t *out);

struct secret_view {
	const char *unique;
	struct span data;
};

void ipc_secret_put(struct buf *b, const char *unique, struct span data);
const char *ipc_secret_check(struct span body, struct secret_view *out);
bool ipc_held_take(struct span body, uint64_t *held); /* false: not such a body */

/* generation 0: *why is the text, as it came, of at most `why->len` bytes. */
bool ipc_loaded_take(struct span body, uint64_t *generation, struct span *why);

const char *ipc_resolve_check(struct span body, struct ipc_resolve *out);
const char *ipc_resolved_check(struct span body, struct ipc_resolved *out);

struct script_view {
	uint64_t job;
	uint32_t line, timeout_ms;
	const char *name, *what, *command;
	unsigned n_env;
	char *env[IPC_ENV_MAX + 1]; /* NULL at the end */
};

/* false: more variables than IPC_ENV_MAX. */
bool ipc_script_put(struct buf *b, const struct script_view *script);
const char *ipc_script_check(struct span body, struct script_view *out);
bool ipc_ran_take(struct span body, uint64_t *job);

#endif
