/* Numbers of the wire as words for logs: exchanges, payloads, notifies (IANA "IKEv2
 * Parameters", RFC 7296 3.1, 3.2, 3.10.1) and this module's own errors. Tables only. */
#include "ipsecd/wire/message.h"

#include <stdio.h>

#define NAME_TEXT 32

struct name {
	uint16_t number;
	const char *name;
};

static const char *look_up(const struct name *table, size_t n, uint16_t number, const char *kind,
			   char *text)
{
	for (size_t i = 0; i < n; i++) {
		if (table[i].number == number)
			return table[i].name;
	}
	snprintf(text, NAME_TEXT, "%s_%u", kind, (unsigned)number);
	return text;
}

#define LOOK_UP(table, number, kind, text) \
	look_up(table, sizeof(table) / sizeof((table)[0]), number, kind, text)

static const struct name exchanges[] = {
	{EXCHANGE_IKE_SA_INIT, "IKE_SA_INIT"},
	{EXCHANGE_IKE_AUTH, "IKE_AUTH"},
	{EXCHANGE_CREATE_CHILD_SA, "CREATE_CHILD_SA"},
	{EXCHANGE_INFORMATIONAL, "INFORMATIONAL"},
	{38, "IKE_SESSION_RESUME"},
	{43, "IKE_INTERMEDIATE"},
	{44, "IKE_FOLLOWUP_KE"},
};

static const struct name payloads[] = {
	{PAYLOAD_NONE, "none"},	      {PAYLOAD_SA, "SA"},     {PAYLOAD_KE, "KE"},
	{PAYLOAD_IDI, "IDi"},	      {PAYLOAD_IDR, "IDr"},   {PAYLOAD_CERT, "CERT"},
	{PAYLOAD_CERTREQ, "CERTREQ"}, {PAYLOAD_AUTH, "AUTH"}, {PAYLOAD_NONCE, "Nonce"},
	{PAYLOAD_NOTIFY, "N"},	      {PAYLOAD_DELETE, "D"},  {PAYLOAD_VENDOR_ID, "V"},
	{PAYLOAD_TSI, "TSi"},	      {PAYLOAD_TSR, "TSr"},   {PAYLOAD_SK, "SK"},
	{PAYLOAD_CP, "CP"},	      {PAYLOAD_EAP, "EAP"},   {PAYLOAD_SKF, "SKF"},
};

static const struct name notifies[] = {
	{NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, "UNSUPPORTED_CRITICAL_PAYLOAD"},
	{NOTIFY_INVALID_IKE_SPI, "INVALID_IKE_SPI"},
	{NOTIFY_INVALID_MAJOR_VERSION, "INVALID_MAJOR_VERSION"},
	{NOTIFY_INVALID_SYNTAX, "INVALID_SYNTAX"},
	{NOTIFY_INVALID_MESSAGE_ID, "INVALID_MESSAGE_ID"},
	{NOTIFY_INVALID_SPI, "INVALID_SPI"},
	{NOTIFY_NO_PROPOSAL_CHOSEN, "NO_PROPOSAL_CHOSEN"},
	{NOTIFY_INVALID_KE_PAYLOAD, "INVALID_KE_PAYLOAD"},
	{NOTIFY_AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED"},
	{NOTIFY_SINGLE_PAIR_REQUIRED, "SINGLE_PAIR_REQUIRED"},
	{NOTIFY_NO_ADDITIONAL_SAS, "NO_ADDITIONAL_SAS"},
	{NOTIFY_INTERNAL_ADDRESS_FAILURE, "INTERNAL_ADDRESS_FAILURE"},
	{NOTIFY_FAILED_CP_REQUIRED, "FAILED_CP_REQUIRED"},
	{NOTIFY_TS_UNACCEPTABLE, "TS_UNACCEPTABLE"},
	{NOTIFY_INVALID_SELECTORS, "INVALID_SELECTORS"},
	{40, "UNACCEPTABLE_ADDRESSES"},
	{41, "UNEXPECTED_NAT_DETECTED"},
	{42, "USE_ASSIGNED_HoA"},
	{NOTIFY_TEMPORARY_FAILURE, "TEMPORARY_FAILURE"},
	{NOTIFY_TS_MAX_QUEUE, "TS_MAX_QUEUE"},
	{NOTIFY_CHILD_SA_NOT_FOUND, "CHILD_SA_NOT_FOUND"},
	{NOTIFY_INITIAL_CONTACT, "INITIAL_CONTACT"},
	{NOTIFY_SET_WINDOW_SIZE, "SET_WINDOW_SIZE"},
	{NOTIFY_ADDITIONAL_TS_POSSIBLE, "ADDITIONAL_TS_POSSIBLE"},
	{16387, "IPCOMP_SUPPORTED"},
	{NOTIFY_NAT_DETECTION_SOURCE_IP, "NAT_DETECTION_SOURCE_IP"},
	{NOTIFY_NAT_DETECTION_DESTINATION_IP, "NAT_DETECTION_DESTINATION_IP"},
	{NOTIFY_COOKIE, "COOKIE"},
	{NOTIFY_USE_TRANSPORT_MODE, "USE_TRANSPORT_MODE"},
	{16392, "HTTP_CERT_LOOKUP_SUPPORTED"},
	{NOTIFY_REKEY_SA, "REKEY_SA"},
	{NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED, "ESP_TFC_PADDING_NOT_SUPPORTED"},
	{NOTIFY_NON_FIRST_FRAGMENTS_ALSO, "NON_FIRST_FRAGMENTS_ALSO"},
	{NOTIFY_MOBIKE_SUPPORTED, "MOBIKE_SUPPORTED"},
	{16397, "ADDITIONAL_IP4_ADDRESS"},
	{16398, "ADDITIONAL_IP6_ADDRESS"},
	{16399, "NO_ADDITIONAL_ADDRESSES"},
	{16400, "UPDATE_SA_ADDRESSES"},
	{16401, "COOKIE2"},
	{16402, "NO_NATS_ALLOWED"},
	{NOTIFY_AUTH_LIFETIME, "AUTH_LIFETIME"},
	{NOTIFY_MULTIPLE_AUTH_SUPPORTED, "MULTIPLE_AUTH_SUPPORTED"},
	{16405, "ANOTHER_AUTH_FOLLOWS"},
	{16406, "REDIRECT_SUPPORTED"},
	{16407, "REDIRECT"},
	{16418, "CHILDLESS_IKEV2_SUPPORTED"},
	{NOTIFY_QUICK_CRASH_DETECTION, "QUICK_CRASH_DETECTION"},
	{NOTIFY_USE_AGGFRAG, "USE_AGGFRAG"},
	{NOTIFY_IKEV2_MESSAGE_ID_SYNC_SUPPORTED, "IKEV2_MESSAGE_ID_SYNC_SUPPORTED"},
	{NOTIFY_IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED, "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED"},
	{NOTIFY_IKEV2_MESSAGE_ID_SYNC, "IKEV2_MESSAGE_ID_SYNC"},
	{NOTIFY_IPSEC_REPLAY_COUNTER_SYNC, "IPSEC_REPLAY_COUNTER_SYNC"},
	{NOTIFY_FRAGMENTATION_SUPPORTED, "IKEV2_FRAGMENTATION_SUPPORTED"},
	{NOTIFY_SIGNATURE_HASH_ALGORITHMS, "SIGNATURE_HASH_ALGORITHMS"},
	{NOTIFY_SA_RESOURCE_INFO, "SA_RESOURCE_INFO"},
	{16435, "USE_PPK"},
	{16438, "INTERMEDIATE_EXCHANGE_SUPPORTED"},
};

static const char *const errors[] = {
	[WIRE_OK] = "no error",
	[WIRE_TRUNCATED] = "message ends too early",
	[WIRE_BAD_LENGTH] = "a length field is wrong",
	[WIRE_BAD_VERSION] = "major version is not 2",
	[WIRE_TOO_MANY] = "more payloads or deletes than accepted",
	[WIRE_CRITICAL] = "unknown payload is marked critical",
	[WIRE_DUPLICATE] = "a payload comes twice",
	[WIRE_BAD_PROPOSAL] = "malformed proposal",
	[WIRE_BAD_TRANSFORM] = "malformed transform",
	[WIRE_BAD_KE] = "malformed KE payload",
	[WIRE_BAD_NONCE] = "nonce is not of 16 to 256 bytes",
	[WIRE_BAD_ID] = "malformed identity",
	[WIRE_BAD_AUTH] = "malformed AUTH payload",
	[WIRE_BAD_NOTIFY] = "malformed notify",
	[WIRE_BAD_DELETE] = "malformed delete",
	[WIRE_BAD_TS] = "malformed traffic selector",
	[WIRE_BAD_CP] = "malformed configuration payload",
	[WIRE_SK_NOT_LAST] = "SK payload is not the last one",
	[WIRE_TRAILING] = "bytes behind the last payload",
};

const char *wire_strerror(enum wire_error e)
{
	return (size_t)e < sizeof(errors) / sizeof(errors[0]) ? errors[e] : "unknown error";
}

const char *wire_exchange_name(uint8_t exchange, char *text)
{
	return LOOK_UP(exchanges, exchange, "EXCHANGE", text);
}

const char *wire_payload_name(uint8_t type, char *text)
{
	return LOOK_UP(payloads, type, "PAYLOAD", text);
}

const char *wire_notify_name(uint16_t type, char *text)
{
	return LOOK_UP(notifies, type, "NOTIFY", text);
}
