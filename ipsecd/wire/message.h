/* The IKEv2 message format (RFC 7296 3): the whole wire on one page.
 *
 * Parsing is pure: it allocates nothing, decides nothing, and what it returns are
 * spans into the datagram, valid as long as that is. Two steps, because everything
 * behind the SK payload is readable only after decryption:
 *	wire_parse_header   the 28 bytes
 *	wire_parse_payloads a chain of payloads, outer or decrypted, into wire_message
 * Encoding appends to a struct buf: wire_begin, payloads, wire_end.
 *
 *                      1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * |                       IKE SA Initiator's SPI                  | 8 bytes
 * |                       IKE SA Responder's SPI                  | 8 bytes
 * |  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
 * |                          Message ID                           |
 * |                            Length                             |
 */
#ifndef DETOUR_MESSAGE_H
#define DETOUR_MESSAGE_H

#include "ipsecd/model/id.h"
#include "ipsecd/model/proposal.h"
#include "ipsecd/model/ts.h"
#include "lib/buf.h"

#define WIRE_HEADER_LEN	  28
#define WIRE_VERSION	  0x20 /* IKEv2.0 */
#define WIRE_PAYLOADS_MAX 256
#define WIRE_NOTIFIES_MAX 64
#define WIRE_DELETES_MAX  8
#define WIRE_CP_MAX	  32	/* attributes of a configuration payload */
#define WIRE_MESSAGE_MAX  65535 /* one UDP datagram */

enum wire_exchange {
	EXCHANGE_IKE_SA_INIT = 34,
	EXCHANGE_IKE_AUTH = 35,
	EXCHANGE_CREATE_CHILD_SA = 36,
	EXCHANGE_INFORMATIONAL = 37,
};

enum wire_flag { FLAG_INITIATOR = 0x08, FLAG_VERSION = 0x10, FLAG_RESPONSE = 0x20 };

enum wire_payload_type {
	PAYLOAD_NONE = 0,
	PAYLOAD_SA = 33,
	PAYLOAD_KE = 34,
	PAYLOAD_IDI = 35,
	PAYLOAD_IDR = 36,
	PAYLOAD_CERT = 37,
	PAYLOAD_CERTREQ = 38,
	PAYLOAD_AUTH = 39,
	PAYLOAD_NONCE = 40,
	PAYLOAD_NOTIFY = 41,
	PAYLOAD_DELETE = 42,
	PAYLOAD_VENDOR_ID = 43,
	PAYLOAD_TSI = 44,
	PAYLOAD_TSR = 45,
	PAYLOAD_SK = 46,
	PAYLOAD_CP = 47,
	PAYLOAD_EAP = 48,
	PAYLOAD_SKF = 53,
};

/* Bit of a payload type in `present` masks. */
#define WIRE_BIT(type) ((uint64_t)1 << (type))

enum wire_notify_type {
	NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD = 1,
	NOTIFY_INVALID_IKE_SPI = 4,
	NOTIFY_INVALID_MAJOR_VERSION = 5,
	NOTIFY_INVALID_SYNTAX = 7,
	NOTIFY_INVALID_MESSAGE_ID = 9,
	NOTIFY_INVALID_SPI = 11,
	NOTIFY_NO_PROPOSAL_CHOSEN = 14,
	NOTIFY_INVALID_KE_PAYLOAD = 17,
	NOTIFY_AUTHENTICATION_FAILED = 24,
	NOTIFY_SINGLE_PAIR_REQUIRED = 34,
	NOTIFY_NO_ADDITIONAL_SAS = 35,
	NOTIFY_INTERNAL_ADDRESS_FAILURE = 36,
	NOTIFY_FAILED_CP_REQUIRED = 37,
	NOTIFY_TS_UNACCEPTABLE = 38,
	NOTIFY_INVALID_SELECTORS = 39,
	NOTIFY_TEMPORARY_FAILURE = 43,
	NOTIFY_CHILD_SA_NOT_FOUND = 44,
	NOTIFY_TS_MAX_QUEUE = 48, /* RFC 9611 */
	NOTIFY_ERROR_MAX = 16383, /* types above are status types */
	NOTIFY_INITIAL_CONTACT = 16384,
	NOTIFY_SET_WINDOW_SIZE = 16385,
	NOTIFY_ADDITIONAL_TS_POSSIBLE = 16386,
	NOTIFY_NAT_DETECTION_SOURCE_IP = 16388,
	NOTIFY_NAT_DETECTION_DESTINATION_IP = 16389,
	NOTIFY_COOKIE = 16390,
	NOTIFY_USE_TRANSPORT_MODE = 16391,
	NOTIFY_REKEY_SA = 16393,
	NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED = 16394,
	NOTIFY_NON_FIRST_FRAGMENTS_ALSO = 16395,
	NOTIFY_MOBIKE_SUPPORTED = 16396,
	NOTIFY_AUTH_LIFETIME = 16403, /* RFC 4478 */
	NOTIFY_MULTIPLE_AUTH_SUPPORTED = 16404,
	NOTIFY_QUICK_CRASH_DETECTION = 16419, /* RFC 6290 */
	NOTIFY_USE_AGGFRAG = 16442,	      /* RFC 9347 */
	/* RFC 6311 */
	NOTIFY_IKEV2_MESSAGE_ID_SYNC_SUPPORTED = 16420,
	NOTIFY_IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED = 16421,
	NOTIFY_IKEV2_MESSAGE_ID_SYNC = 16422,
	NOTIFY_IPSEC_REPLAY_COUNTER_SYNC = 16423,
	NOTIFY_FRAGMENTATION_SUPPORTED = 16430,
	NOTIFY_SIGNATURE_HASH_ALGORITHMS = 16431,
	NOTIFY_SA_RESOURCE_INFO = 16444, /* RFC 9611 */
};

enum wire_auth_method { AUTH_RSA = 1, AUTH_SHARED_KEY = 2, AUTH_DSS = 3, AUTH_SIGNATURE = 14 };

/* Configuration payloads (RFC 7296 3.15) and their attributes. */
enum wire_cp_type { CFG_REQUEST = 1, CFG_REPLY = 2, CFG_SET = 3, CFG_ACK = 4 };

enum wire_cp_attribute_type {
	CFG_INTERNAL_IP4_ADDRESS = 1,
	CFG_INTERNAL_IP4_NETMASK = 2,
	CFG_INTERNAL_IP4_DNS = 3,
	CFG_INTERNAL_IP4_NBNS = 4,
	CFG_INTERNAL_IP4_DHCP = 6,
	CFG_APPLICATION_VERSION = 7,
	CFG_INTERNAL_IP6_ADDRESS = 8,
	CFG_INTERNAL_IP6_DNS = 10,
	CFG_INTERNAL_IP6_DHCP = 12,
	CFG_INTERNAL_IP4_SUBNET = 13,
	CFG_SUPPORTED_ATTRIBUTES = 14,
	CFG_INTERNAL_IP6_SUBNET = 15,
};

enum wire_error {
	WIRE_OK,
	WIRE_TRUNCATED,	 /* a length points past the end */
	WIRE_BAD_LENGTH, /* header length differs from the datagram's, payload shorter than its head
			  */
	WIRE_BAD_VERSION, /* major version other than 2; value = the version byte */
	WIRE_TOO_MANY,	  /* more payloads or deletes than we accept */
	WIRE_CRITICAL,	  /* unknown payload with the critical bit; value = its type */
	WIRE_DUPLICATE,	  /* a payload twice that may come once; value = its type */
	WIRE_BAD_PROPOSAL,
	WIRE_BAD_TRANSFORM,
	WIRE_BAD_KE,
	WIRE_BAD_NONCE, /* not 16..256 bytes, RFC 7296 3.9 */
	WIRE_BAD_ID,
	WIRE_BAD_AUTH,
	WIRE_BAD_NOTIFY,
	WIRE_BAD_DELETE,
	WIRE_BAD_TS,
	WIRE_BAD_CP,
	WIRE_SK_NOT_LAST,
	WIRE_TRAILING, /* bytes behind the last payload */
};

const char *wire_strerror(enum wire_error e);

/* Where and what, for the one log line. */
struct wire_fault {
	enum wire_error error;
	size_t offset;	/* in the parsed span */
	uint32_t value; /* the offending value, 0 if there is none */
};

struct wire_header {
	uint64_t spi_i, spi_r;
	uint8_t next_payload, version, exchange, flags;
	uint32_t message_id, length;
};

struct wire_ke {
	uint16_t group;
	struct span data;
};

struct wire_auth {
	uint8_t method;
	struct span data;
};

struct wire_id {
	struct id id;
	struct span body; /* IDx' of RFC 7296 2.15: the payload body, as MACed */
};

struct wire_notify {
	uint8_t protocol;
	uint16_t type;
	struct span spi, data;
};

/* The data of IKEV2_MESSAGE_ID_SYNC (RFC 6311 6.3), as its sender sees it. */
struct wire_message_ids {
	uint32_t nonce;
	uint32_t send;	  /* of the next request that it sends */
	uint32_t receive; /* of the next one that it expects */
};

struct wire_delete {
	uint8_t protocol;
	uint8_t spi_size;
	uint16_t n_spis;
	struct span spis; /* n_spis * spi_size bytes */
};

/* Family 0: the attribute was empty, which asks for any. prefix_len is that of IPv6 addresses
 * and of subnets of both families (an IPv4 mask with holes is a fault). */
struct wire_cp_attribute {
	uint16_t type;
	struct addr addr;
	uint8_t prefix_len;
	struct span value; /* as it came */
};

struct wire_cp {
	uint8_t type; /* enum wire_cp_type, or one that we don't know */
	uint8_t n;
	struct wire_cp_attribute attributes[WIRE_CP_MAX]; /* the first ones; no unknown types */
};

/* A chain of payloads, parsed. `present` has WIRE_BIT of each known type seen. */
struct wire_message {
	uint64_t present;
	struct proposal_list sa; /* of the SA payload, as many as fit; SPIs below */
	struct span sa_spis[PROPOSAL_LIST_MAX];
	struct wire_ke ke;
	struct span nonce;
	struct wire_id idi, idr;
	struct wire_auth auth;
	struct ts_list tsi, tsr;
	bool tsi_skipped, tsr_skipped; /* selectors of unknown type, or more than
					TS_LIST_MAX, were left out */
	struct span sk;		       /* body of SK: IV, ciphertext, ICV */
	uint8_t sk_next;	       /* first payload type inside SK */
	size_t sk_offset;	       /* of SK's body in the parsed span */
	struct wire_cp cp;
	struct span eap; /* raw body (later issues) */
	unsigned n_notifies, n_deletes;
	struct wire_notify notifies[WIRE_NOTIFIES_MAX]; /* the first ones */
	struct wire_delete deletes[WIRE_DELETES_MAX];
	unsigned
		ignored; /* unknown non-critical payloads (RFC 7296 2.5), notifies that don't fit */
};

/* Checks the length against the datagram and the major version, in this order. On
 * WIRE_BAD_VERSION *out is filled, so that the answer can be addressed. */
struct wire_fault wire_parse_header(struct span datagram, struct wire_header *out);
/* Walks a chain that starts with type `first`. A proposal or transform that we don't
 * know is kept as numbers; a transform with attributes that we don't know gets key_bits
 * TRANSFORM_KEY_UNUSABLE (RFC 7296 3.3.6). After a fault *out is half filled and not to be used. */
struct wire_fault wire_parse_payloads(uint8_t first, struct span chain, struct wire_message *out);
/* The first notify of that type, or NULL. */
const struct wire_notify *wire_find_notify(const struct wire_message *m, uint16_t type);
/* RFC 6311 6.3, 6.4: protocol 0, no SPI, and the one length, or the two, that the data may have.
 * false: not so. The delta has 8 octets with extended sequence numbers (`esn`), else 4. */
bool wire_read_message_ids(const struct wire_notify *n, struct wire_message_ids *out);
bool wire_read_replay_delta(const struct wire_notify *n, uint64_t *delta, bool *esn);
/* The first error notify (type <= NOTIFY_ERROR_MAX), or NULL. */
const struct wire_notify *wire_find_error(const struct wire_message *m);

/* ---- encoding ---- */

struct wire_writer {
	struct buf buf;
	size_t next_at; /* where the type of the next payload is to be written */
	size_t sk_at;	/* offset of the SK payload's head, 0: none open */
};

void wire_begin(struct wire_writer *w, void *memory, size_t cap, const struct wire_header *h);
/* Payloads, appended in order; behind wire_open_sk they are inside SK. A proposal whose
 * number is 0 is numbered by its place. */
void wire_put_sa(struct wire_writer *w, const struct proposal_list *l, struct span spi);
void wire_put_ke(struct wire_writer *w, uint16_t group, struct span data);
void wire_put_nonce(struct wire_writer *w, struct span nonce);
void wire_put_id(struct wire_writer *w, enum wire_payload_type type, const struct id *id);
void wire_put_auth(struct wire_writer *w, uint8_t method, struct span data);
void wire_put_ts(struct wire_writer *w, enum wire_payload_type type, const struct ts_list *l);
void wire_put_notify(struct wire_writer *w, uint8_t protocol, uint16_t type, struct span spi,
		     struct span data);
void wire_put_message_ids(struct wire_writer *w, const struct wire_message_ids *ids);
void wire_put_replay_delta(struct wire_writer *w, uint64_t delta, bool esn);
void wire_put_delete(struct wire_writer *w, uint8_t protocol, uint8_t spi_size, struct span spis);
/* A configuration payload: attributes between the two; close gives what open gave. An address of
 * family 0, or an empty value, asks for any. */
size_t wire_open_cp(struct wire_writer *w, enum wire_cp_type type);
void wire_put_cp_addr(struct wire_writer *w, uint16_t type, const struct addr *a,
		      uint8_t prefix_len);
void wire_put_cp_value(struct wire_writer *w, uint16_t type, struct span value);
void wire_close_cp(struct wire_writer *w, size_t start);
void wire_put_vendor_id(struct wire_writer *w, struct span data);
/* Opens SK: writes its head and reserves iv_len bytes; every payload put afterwards is inside. */
void wire_open_sk(struct wire_writer *w, size_t iv_len);
/* Closes SK: pads to `block` with the Pad Length byte (RFC 7296 3.14), reserves icv_len, sets the
 * SK and header lengths. Gives the places to encrypt: aad (header up to and with SK's head),
 * iv, plain (to be encrypted in place), icv. false after an overflow. */
struct wire_sk_parts {
	struct span aad;
	uint8_t *iv, *plain, *icv;
	size_t plain_len;
};
bool wire_close_sk(struct wire_writer *w, size_t block, size_t iv_len, size_t icv_len,
		   struct wire_sk_parts *out);
/* Ends an unprotected message: sets the header's length. Empty span after an overflow. */
struct span wire_end(struct wire_writer *w);

/* IDx' for AUTH (RFC 7296 2.15): type, three zero bytes, data. */
size_t wire_id_body(const struct id *id, uint8_t *out, size_t cap);

/* Names for logs: "IKE_SA_INIT", "NO_PROPOSAL_CHOSEN"; text of 32 bytes for unknown numbers. */
const char *wire_exchange_name(uint8_t exchange, char *text);
const char *wire_payload_name(uint8_t type, char *text);
const char *wire_notify_name(uint16_t type, char *text);

#endif
