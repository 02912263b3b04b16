/* Every keyword of ipsec.conf that is known here: what strongSwan 5.9 and libreswan 5
 * understand and what is our own. A keyword of theirs that we do not implement is in
 * the table too, with what is done about it and why. */
#ifndef DETOUR_CONFIG_KEYWORDS_H
#define DETOUR_CONFIG_KEYWORDS_H

#include <stdbool.h>
#include <stddef.h>

enum keyword_scope { SCOPE_SETUP = 1, SCOPE_CONN = 2, SCOPE_CA = 4 };

enum keyword_rule {
	RULE_VALUE,   /* the id says what it sets */
	RULE_ONLY,    /* only the values in `accepts` are possible so far */
	RULE_IGNORED, /* any value, with a warning */
	RULE_REFUSED,
};

/* What RULE_VALUE keywords set. The first ones exist for either side. */
enum keyword_id {
	KEYWORD_HOST,
	KEYWORD_ID,
	KEYWORD_SUBNET,
	KEYWORD_PROTOPORT,
	KEYWORD_AUTH,
	KEYWORD_SIDE_INTERFACE_IP,
	KEYWORD_SOURCEIP,
	KEYWORD_DNS,
	KEYWORD_UPDOWN,

	KEYWORD_SINGLE, /* from here on without a side */
	KEYWORD_ALSO = KEYWORD_SINGLE,
	KEYWORD_AUTO,
	KEYWORD_AUTHBY,
	KEYWORD_IKE,
	KEYWORD_ESP,
	KEYWORD_PFS,
	KEYWORD_IKELIFETIME,
	KEYWORD_LIFETIME,
	KEYWORD_LIFEBYTES,
	KEYWORD_LIFEPACKETS,
	KEYWORD_MARGINTIME,
	KEYWORD_MARGINBYTES,
	KEYWORD_MARGINPACKETS,
	KEYWORD_REKEYFUZZ,
	KEYWORD_REKEY,
	KEYWORD_REAUTH,
	KEYWORD_DPDACTION,
	KEYWORD_DPDDELAY,
	KEYWORD_DPDTIMEOUT,
	KEYWORD_RETRANSMIT_INTERVAL,
	KEYWORD_RETRANSMIT_TIMEOUT,
	KEYWORD_CLOSEACTION,
	KEYWORD_KEYINGTRIES,
	KEYWORD_MARK,
	KEYWORD_MARK_IN,
	KEYWORD_MARK_OUT,
	KEYWORD_IF_ID,
	KEYWORD_IF_ID_IN,
	KEYWORD_IF_ID_OUT,
	KEYWORD_SET_MARK_IN,
	KEYWORD_SET_MARK_OUT,
	KEYWORD_COPY_DF,
	KEYWORD_NOPMTUDISC,
	KEYWORD_COPY_ECN,
	KEYWORD_COPY_DSCP,
	KEYWORD_NIC_OFFLOAD,
	KEYWORD_ENCAP_DSCP,
	KEYWORD_DECAP_DSCP,
	KEYWORD_TFC,
	KEYWORD_IPTFS,
	KEYWORD_IPTFS_PACKET_SIZE,
	KEYWORD_IPTFS_RATE,
	KEYWORD_IPTFS_MAX_QUEUE_SIZE,
	KEYWORD_IPTFS_REORDER_WINDOW,
	KEYWORD_IPTFS_DROP_TIME,
	KEYWORD_IPTFS_DONT_FRAG,
	KEYWORD_FORCEENCAPS,
	KEYWORD_MESSAGE_ID_SYNC,
	KEYWORD_PER_RESOURCE_SAS,
	KEYWORD_REPLAY_WINDOW,
	KEYWORD_REQID,
	KEYWORD_INTERFACE,
	KEYWORD_INTERFACE_TYPE,
	KEYWORD_INTERFACE_IP,
	KEYWORD_IPSEC_INTERFACE,
	KEYWORD_MTU,
	KEYWORD_MSS,
	KEYWORD_UNIQUEIDS, /* config setup */
	KEYWORD_IPSEC_INTERFACE_MANAGED,
	KEYWORD_INSTALL_ROUTES,
	KEYWORD_ROUTING_TABLE,
	KEYWORD_ROUTING_TABLE_PRIO,
	KEYWORD_INSTALL_VIRTUAL_IP,
	KEYWORD_INSTALL_VIRTUAL_IP_ON,
	KEYWORD_UPDOWN_TIMEOUT,
	KEYWORD_KEEP_ON_STOP,
	KEYWORD_METRICS,
	KEYWORD_EARLY_DETECTION,
	KEYWORD_QUICK_CRASH_DETECTION,
	KEYWORD_BIND_DEVICE,
	KEYWORD_WORKERS,
	KEYWORD_COUNT,
	KEYWORD_NONE = KEYWORD_COUNT, /* of rules other than RULE_VALUE */
};

struct keyword {
	const char *name;  /* with '-' where users may write '_' as well */
	const char *right; /* the name for right where `name` is left's; else NULL */
	unsigned scopes;
	enum keyword_rule rule;
	enum keyword_id id;
	const char *accepts; /* RULE_ONLY: words, blanks between; "yes" and "no" as booleans */
	const char *reason;  /* for the message of the other rules */
};

/* Finds by either name, '-' and '_' being the same; *right tells which. A keyword that
 * exists in another scope only is found as well: look at `scopes`. NULL: unknown. */
const struct keyword *keyword_find(const char *word, enum keyword_scope scope, bool *right);
const struct keyword *keyword_at(size_t n); /* NULL behind the last */
/* The nearest name that has a meaning in `scope`, or NULL. */
const char *keyword_nearest(const char *word, enum keyword_scope scope);
/* RULE_ONLY: whether the value is one of those accepted. */
bool keyword_accepts(const struct keyword *k, const char *value);

#endif
