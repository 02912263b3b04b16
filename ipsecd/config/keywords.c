/* The table of keywords. docs/config.md explains each; a unit test compares. */
#include "ipsecd/config/keywords.h"
#include "lib/words.h"

#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define SIDED(name, id)                                                           \
	{                                                                         \
		"left" name, "right" name, SCOPE_CONN, RULE_VALUE, id, NULL, NULL \
	}
#define SIDED_ONLY(name, value, why)                                                       \
	{                                                                                  \
		"left" name, "right" name, SCOPE_CONN, RULE_ONLY, KEYWORD_NONE, value, why \
	}
#define SIDED_REFUSED(name, why)                                                             \
	{                                                                                    \
		"left" name, "right" name, SCOPE_CONN, RULE_REFUSED, KEYWORD_NONE, NULL, why \
	}
#define SIDED_IGNORED(name, why)                                                             \
	{                                                                                    \
		"left" name, "right" name, SCOPE_CONN, RULE_IGNORED, KEYWORD_NONE, NULL, why \
	}
#define CONN(name, id)                                             \
	{                                                          \
		name, NULL, SCOPE_CONN, RULE_VALUE, id, NULL, NULL \
	}
#define CONN_ONLY(name, value, why)                                         \
	{                                                                   \
		name, NULL, SCOPE_CONN, RULE_ONLY, KEYWORD_NONE, value, why \
	}
#define CONN_REFUSED(name, why)                                               \
	{                                                                     \
		name, NULL, SCOPE_CONN, RULE_REFUSED, KEYWORD_NONE, NULL, why \
	}
#define CONN_IGNORED(name, why)                                               \
	{                                                                     \
		name, NULL, SCOPE_CONN, RULE_IGNORED, KEYWORD_NONE, NULL, why \
	}
#define SETUP(name, id)                                             \
	{                                                           \
		name, NULL, SCOPE_SETUP, RULE_VALUE, id, NULL, NULL \
	}
#define SETUP_ONLY(name, value, why)                                         \
	{                                                                    \
		name, NULL, SCOPE_SETUP, RULE_ONLY, KEYWORD_NONE, value, why \
	}
#define SETUP_IGNORED(name, why)                                               \
	{                                                                      \
		name, NULL, SCOPE_SETUP, RULE_IGNORED, KEYWORD_NONE, NULL, why \
	}
#define CA(name)                                                             \
	{                                                                    \
		name, NULL, SCOPE_CA, RULE_IGNORED, KEYWORD_NONE, NULL, NULL \
	}

#define NO_CERTIFICATES "certificates are not supported yet; authentication is by secret (psk)"
#define NO_EAP		"EAP is not supported yet; authentication is by secret (psk)"
#define NO_IKEV1	"IKEv1 is not supported"
#define MODECFG_SERVER                                                                       \
	"say what the other end gets: rightsourceip=10.3.0.0/24 at the end that gives (and " \
	"rightdns=)"
#define MODECFG_CLIENT                                                                 \
	"say what to ask for: leftsourceip=%config (or %config4,%config6) at the end " \
	"that asks"
#define NO_LOG "the log is set with --log-level"

static const struct keyword keywords[] = {
	/* the two ends */
	SIDED("", KEYWORD_HOST),
	SIDED("id", KEYWORD_ID),
	SIDED("subnet", KEYWORD_SUBNET),
	SIDED("protoport", KEYWORD_PROTOPORT),
	SIDED("auth", KEYWORD_AUTH),
	SIDED("interface-ip", KEYWORD_SIDE_INTERFACE_IP),
	SIDED("vti", KEYWORD_SIDE_INTERFACE_IP),
	SIDED("updown", KEYWORD_UPDOWN),
	SIDED_ONLY("ikeport", "500", "the ports are 500 and 4500"),
	SIDED_ONLY("allowany", "no", "use right=%any, or a prefix"),
	SIDED_ONLY("firewall", "no", "packet filters are not touched"),
	SIDED_ONLY("hostaccess", "no", "packet filters are not touched"),
	SIDED_ONLY("sendcert", "no never", NO_CERTIFICATES),
	SIDED("sourceip", KEYWORD_SOURCEIP),
	SIDED("addresspool", KEYWORD_SOURCEIP),
	SIDED("dns", KEYWORD_DNS),
	SIDED_ONLY("modecfgserver", "no", MODECFG_SERVER),
	SIDED_ONLY("modecfgclient", "no", MODECFG_CLIENT),
	SIDED_REFUSED("subnets", "list the prefixes in leftsubnet or rightsubnet, commas between"),
	SIDED_REFUSED("auth2", "a second authentication is not supported"),
	SIDED_REFUSED("id2", "a second authentication is not supported"),
	SIDED_REFUSED("cert", NO_CERTIFICATES),
	SIDED_REFUSED("cert2", NO_CERTIFICATES),
	SIDED_REFUSED("certpolicy", NO_CERTIFICATES),
	SIDED_REFUSED("ca", NO_CERTIFICATES),
	SIDED_REFUSED("ca2", NO_CERTIFICATES),
	SIDED_REFUSED("ckaid", NO_CERTIFICATES),
	SIDED_REFUSED("groups", NO_CERTIFICATES),
	SIDED_REFUSED("groups2", NO_CERTIFICATES),
	SIDED_REFUSED("pubkey", NO_CERTIFICATES),
	SIDED_REFUSED("rsasigkey", NO_CERTIFICATES),
	SIDED_REFUSED("sigkey", NO_CERTIFICATES),
	SIDED_REFUSED("autheap", NO_EAP),
	SIDED_REFUSED("username", NO_EAP),
	SIDED_REFUSED("xauthserver", NO_IKEV1),
	SIDED_REFUSED("xauthclient", NO_IKEV1),
	SIDED_REFUSED("xauthusername", NO_IKEV1),
	SIDED_IGNORED("nexthop", "the kernel's routes decide"),

	/* what a conn does */
	CONN("also", KEYWORD_ALSO),
	CONN("auto", KEYWORD_AUTO),
	CONN("authby", KEYWORD_AUTHBY),
	CONN("ike", KEYWORD_IKE),
	CONN("esp", KEYWORD_ESP),
	CONN("phase2alg", KEYWORD_ESP),
	CONN("pfs", KEYWORD_PFS),
	CONN("ikelifetime", KEYWORD_IKELIFETIME),
	CONN("lifetime", KEYWORD_LIFETIME),
	CONN("keylife", KEYWORD_LIFETIME),
	CONN("salifetime", KEYWORD_LIFETIME),
	CONN("ipsec-lifetime", KEYWORD_LIFETIME),
	CONN("lifebytes", KEYWORD_LIFEBYTES),
	CONN("ipsec-max-bytes", KEYWORD_LIFEBYTES),
	CONN("lifepackets", KEYWORD_LIFEPACKETS),
	CONN("ipsec-max-packets", KEYWORD_LIFEPACKETS),
	CONN("margintime", KEYWORD_MARGINTIME),
	CONN("rekeymargin", KEYWORD_MARGINTIME),
	CONN("marginbytes", KEYWORD_MARGINBYTES),
	CONN("marginpackets", KEYWORD_MARGINPACKETS),
	CONN("rekeyfuzz", KEYWORD_REKEYFUZZ),
	CONN("rekey", KEYWORD_REKEY),
	CONN("reauth", KEYWORD_REAUTH),
	CONN("dpdaction", KEYWORD_DPDACTION),
	CONN("dpddelay", KEYWORD_DPDDELAY),
	CONN("dpdtimeout", KEYWORD_DPDTIMEOUT),
	CONN("retransmit-interval", KEYWORD_RETRANSMIT_INTERVAL),
	CONN("retransmit-timeout", KEYWORD_RETRANSMIT_TIMEOUT),
	CONN("closeaction", KEYWORD_CLOSEACTION),
	CONN("keyingtries", KEYWORD_KEYINGTRIES),
	CONN("mark", KEYWORD_MARK),
	CONN("mark-in", KEYWORD_MARK_IN),
	CONN("mark-out", KEYWORD_MARK_OUT),
	CONN("if-id", KEYWORD_IF_ID),
	CONN("if-id-in", KEYWORD_IF_ID_IN),
	CONN("if-id-out", KEYWORD_IF_ID_OUT),
	CONN("set-mark-in", KEYWORD_SET_MARK_IN),
	CONN("set-mark-out", KEYWORD_SET_MARK_OUT),
	CONN("copy-df", KEYWORD_COPY_DF),
	CONN("nopmtudisc", KEYWORD_NOPMTUDISC),
	CONN("copy-ecn", KEYWORD_COPY_ECN),
	CONN("copy-dscp", KEYWORD_COPY_DSCP),
	CONN("nic-offload", KEYWORD_NIC_OFFLOAD),
	CONN("encap-dscp", KEYWORD_ENCAP_DSCP),
	CONN("decap-dscp", KEYWORD_DECAP_DSCP),
	CONN("tfc", KEYWORD_TFC),
	CONN("iptfs", KEYWORD_IPTFS),
	CONN("iptfs-packet-size", KEYWORD_IPTFS_PACKET_SIZE),
	CONN("iptfs-rate", KEYWORD_IPTFS_RATE),
	CONN("iptfs-max-queue-size", KEYWORD_IPTFS_MAX_QUEUE_SIZE),
	CONN("iptfs-reorder-window", KEYWORD_IPTFS_REORDER_WINDOW),
	CONN("iptfs-drop-time", KEYWORD_IPTFS_DROP_TIME),
	CONN("iptfs-dont-frag", KEYWORD_IPTFS_DONT_FRAG),
	CONN("forceencaps", KEYWORD_FORCEENCAPS),
	CONN("encapsulation", KEYWORD_FORCEENCAPS),
	CONN("message-id-sync", KEYWORD_MESSAGE_ID_SYNC),
	CONN("per-resource-sas", KEYWORD_PER_RESOURCE_SAS),
	CONN("replay-window", KEYWORD_REPLAY_WINDOW),
	CONN("reqid", KEYWORD_REQID),
	CONN("interface", KEYWORD_INTERFACE),
	CONN("vti-interface", KEYWORD_INTERFACE),
	CONN("interface-type", KEYWORD_INTERFACE_TYPE),
	CONN("interface-ip", KEYWORD_INTERFACE_IP),
	CONN("ipsec-interface", KEYWORD_IPSEC_INTERFACE),
	CONN("mtu", KEYWORD_MTU),
	CONN("mss", KEYWORD_MSS),

	/* understood, with the one meaning that exists here */
	CONN_ONLY("keyexchange", "ike ikev2", NO_IKEV1),
	CONN_ONLY("ikev2", "yes insist permit propose", NO_IKEV1),
	CONN_ONLY("aggressive", "no", NO_IKEV1),
	CONN_ONLY("aggrmode", "no", NO_IKEV1),
	CONN_ONLY("modeconfig", "pull", NO_IKEV1),
	CONN_ONLY("type", "tunnel", "only tunnel mode is supported"),
	CONN_ONLY("phase2", "esp", "AH is not supported"),
	CONN_ONLY("compress", "no", "compression (IPComp) is not supported"),
	CONN_ONLY("fragmentation", "no yes accept",
		  "IKE fragmentation is not supported yet; messages with secrets do not need it"),
	CONN_ONLY("mobike", "no yes",
		  "MOBIKE is not supported yet: a peer is told so by our not offering it"),
	CONN_ONLY("installpolicy", "yes", "traffic is steered by routes into the tunnel device"),
	CONN_ONLY("initial-contact", "yes", "INITIAL_CONTACT is always sent"),
	CONN_ONLY("narrowing", "yes", "selectors are always narrowed (RFC 7296 2.9)"),
	CONN_ONLY("sha256-96", "no", "the truncation to 96 bits is not supported"),
	CONN_ONLY("inactivity", "0", "an idle tunnel stays up"),
	CONN_ONLY("mediation", "no", "mediation is not supported"),
	CONN_ONLY("vti-routing", "no",
		  "routes are for BGP, routed-bridge or ip route; or install-routes=yes in config "
		  "setup"),
	CONN_ONLY("failureshunt", "drop", "traffic without a tunnel is dropped"),
	CONN_ONLY("negotiationshunt", "drop hold", "traffic without a tunnel is dropped"),
	CONN_ONLY("vti-shared", "no", "each connection has a tunnel device of its own"),
	CONN_ONLY("enable-tcp", "no", "TCP encapsulation is not supported"),
	CONN_ONLY("intermediate", "no", "IKE_INTERMEDIATE is not supported"),
	CONN_ONLY("overlapip", "no", "not supported"),
	CONN_ONLY("ppk", "no never", "post-quantum preshared keys are not supported"),
	CONN_ONLY("send-redirect", "no never", "IKE redirect is not supported"),
	CONN_ONLY("accept-redirect", "no", "IKE redirect is not supported"),

	/* known elsewhere */
	CONN_REFUSED("ah", "AH is not supported"),
	CONN_REFUSED("modecfgdns", "say rightdns= at the end that gives the addresses"),
	CONN_REFUSED("modecfgdomains", "domains are not given to peers; rightdns= is"),
	CONN_REFUSED("modecfgbanner", NO_IKEV1),
	CONN_REFUSED("modecfgpull", NO_IKEV1),
	CONN_REFUSED("ikedscp", "not supported"),
	CONN_REFUSED("eap-identity", NO_EAP),
	CONN_REFUSED("aaa-identity", NO_EAP),
	CONN_REFUSED("xauth", NO_IKEV1),
	CONN_REFUSED("xauth-identity", NO_IKEV1),
	CONN_REFUSED("mediated-by", "mediation is not supported"),
	CONN_REFUSED("me-peerid", "mediation is not supported"),
	CONN_REFUSED("sendca", NO_CERTIFICATES),
	CONN_IGNORED("hostaddrfamily", "the addresses say it"),
	CONN_IGNORED("priority", "routes decide between tunnels, inside of one the newest SA"),
	CONN_IGNORED("ikepad", "IKEv2 messages need no padding"),

	/* the daemon */
	SETUP("uniqueids", KEYWORD_UNIQUEIDS),
	SETUP("ipsec-interface-managed", KEYWORD_IPSEC_INTERFACE_MANAGED),
	SETUP("install-routes", KEYWORD_INSTALL_ROUTES),
	SETUP("routing-table", KEYWORD_ROUTING_TABLE),
	SETUP("routing-table-prio", KEYWORD_ROUTING_TABLE_PRIO),
	SETUP("install-virtual-ip", KEYWORD_INSTALL_VIRTUAL_IP),
	SETUP("install-virtual-ip-on", KEYWORD_INSTALL_VIRTUAL_IP_ON),
	SETUP("updown-timeout", KEYWORD_UPDOWN_TIMEOUT),
	SETUP("keep-on-stop", KEYWORD_KEEP_ON_STOP),
	SETUP("metrics", KEYWORD_METRICS),
	SETUP("early-detection", KEYWORD_EARLY_DETECTION),
	SETUP("quick-crash-detection", KEYWORD_QUICK_CRASH_DETECTION),
	SETUP("bind-device", KEYWORD_BIND_DEVICE),
	SETUP("workers", KEYWORD_WORKERS),
	SETUP_ONLY("strictcrlpolicy", "no", NO_CERTIFICATES),
	SETUP_ONLY("cachecrls", "no", NO_CERTIFICATES),
	SETUP_ONLY("crl-strict", "no", NO_CERTIFICATES),
	SETUP_ONLY("ocsp-enable", "no", NO_CERTIFICATES),
	SETUP_ONLY("listen-tcp", "no", "TCP encapsulation is not supported"),
	SETUP_IGNORED("charondebug", NO_LOG),
	SETUP_IGNORED("plutodebug", NO_LOG),
	SETUP_IGNORED("logfile", NO_LOG),
	SETUP_IGNORED("charonstart", "there is one daemon"),
	SETUP_IGNORED("plutostart", "there is one daemon"),
	SETUP_IGNORED("protostack", "the data plane is chosen with --plane"),
	SETUP_IGNORED("virtual-private", "selectors are checked per connection"),
	SETUP_IGNORED("nat-traversal", "it is always on"),
	SETUP_IGNORED("nhelpers", "there are no helper threads"),
	SETUP_IGNORED("dumpdir", "core files go where the system puts them"),
	SETUP_IGNORED("nssdir", "no NSS database is used"),

	/* authorities: read, and refused as a whole */
	CA("cacert"),
	CA("crluri"),
	CA("crluri1"),
	CA("crluri2"),
	CA("ocspuri"),
	CA("ocspuri1"),
	CA("ocspuri2"),
	CA("certuribase"),
	{"auto", NULL, SCOPE_CA, RULE_IGNORED, KEYWORD_NONE, NULL, NULL},
	{"also", NULL, SCOPE_CA, RULE_IGNORED, KEYWORD_NONE, NULL, NULL},
};

static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		char x = *a == '_' ? '-' : *a, y = *b == '_' ? '-' : *b;

		if (x != y)
			return false;
	}
	return *a == *b;
}

const struct keyword *keyword_at(size_t n)
{
	return n < COUNT(keywords) ? &keywords[n] : NULL;
}

const struct keyword *keyword_find(const char *word, enum keyword_scope scope, bool *right)
{
	const struct keyword *elsewhere = NULL;

	for (size_t i = 0; i < COUNT(keywords); i++) {
		const struct keyword *k = &keywords[i];

		*right = k->right && same_name(k->right, word);
		if (!*right && !same_name(k->name, word))
			continue;
		if (k->scopes & scope)
			return k;
		elsewhere = k;
	}
	*right = false;
	return elsewhere;
}

const char *keyword_nearest(const char *word, enum keyword_scope scope)
{
	const char *names[2 * COUNT(keywords) + 1];
	size_t n = 0;

	for (size_t i = 0; i < COUNT(keywords); i++) {
		if (!(keywords[i].scopes & scope) || keywords[i].rule == RULE_REFUSED)
			continue;
		names[n++] = keywords[i].name;
		if (keywords[i].right)
			names[n++] = keywords[i].right;
	}
	names[n] = NULL;
	return words_nearest(word, names);
}

bool keyword_accepts(const struct keyword *k, const char *value)
{
	size_t len = strlen(value);
	bool as_bool;

	if (words_parse_bool(value, &as_bool)) {
		value = as_bool ? "yes" : "no";
		/* "0" and "1" may be meant as numbers. */
		if (strchr(k->accepts, '0') && !as_bool)
			value = "0";
		len = strlen(value);
	}
	for (const char *p = k->accepts; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (n == len && strncasecmp(p, value, n) == 0)
			return true;
		p += n;
	}
	return false;
}
