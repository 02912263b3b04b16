/* The inside of load-conn: one table of keys per kind of section, one parser per type of
 * value. Not for anybody but load_*.c. */
#ifndef DETOUR_LOAD_KEYS_H
#define DETOUR_LOAD_KEYS_H

#include "ipsecd/control/load_conn.h"
#include "lib/vici_codec.h"

#define LOAD_WORDS_MAX 32

/* The value of a key: its words, split at commas where the key is a list. */
struct load_words {
	unsigned n;
	const char *word[LOAD_WORDS_MAX];
	size_t used;
	char text[4096];
};

/* Where we are. Errors begin with the conn and `path`. */
struct load {
	struct conn *conn;
	struct child_config *child; /* inside children.NAME, else NULL */
	const char *key;	    /* being read, NULL: a section as a whole */
	char path[280];		    /* "", "children.net.", "local." */
	const struct load_notes *notes;
	uint64_t seen; /* keys of this section's table, by bit */
	bool local_seen, remote_seen, psk_seen, if_id_seen;
	char *why;
	size_t size;
};

struct load_key;
/* false after load_error. */
typedef bool load_parser(struct load *l, const struct load_key *key, const struct load_words *w);

struct load_key {
	const char *name;
	load_parser *parse;
	size_t offset;	  /* of the field in struct conn, child_config or tunnel_config */
	const char *text; /* load_fixed: words that are accepted, '|' between;
			     load_refused, load_noted: why */
	bool list;	  /* may have several words */
};

/* Writes the reason and returns false. */
bool load_error(struct load *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
void load_note(struct load *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Was the key of this name given in this section? */
bool load_seen(const struct load *l, const struct load_key *table, const char *name);

/* Reads keys of the open section until its end; sections inside go to on_section, which
 * reads them to their end. */
typedef bool load_section(struct load *l, struct vici_iter *it, struct span name);
bool load_elements(struct load *l, struct vici_iter *it, const struct load_key *table,
		   load_section *on_section);
/* For sections that have no sections inside. */
bool load_no_section(struct load *l, struct vici_iter *it, struct span name);

/* For parsers: the one word of a key, "" for an empty value; its field in conn or child; the
 * word as a number. */
const char *load_only(const struct load_words *w);
void *load_field(struct load *l, const struct load_key *key);
bool load_number(struct load *l, const struct load_words *w, uint64_t min, uint64_t max,
		 uint64_t *out);
/* After all keys: does what was said of the device fit together? */
bool load_check_device(struct load *l);
bool load_check_ends(struct load *l);

/* ---- parsers ---- */

load_parser load_bool, load_encap, load_duration, load_size, load_u32, load_hosts_local,
	load_hosts_remote, load_proposals, load_ts, load_action, load_unique, load_id, load_port,
	load_vips, load_pools;
load_parser load_mark, load_if_id, load_set_mark, load_tfc, load_copy_df, load_copy_ecn,
	load_offload, load_copy_dscp, load_window, load_resources, load_updown, load_interface,
	load_interface_type, load_interface_ip, load_mtu, load_mss; /* load_device.c */
load_parser load_mode, load_iptfs, load_iptfs_rate, load_iptfs_packet, load_iptfs_window,
	load_iptfs_queue, load_iptfs_drop_time, load_iptfs_whole; /* load_iptfs.c */
load_parser load_fixed;						  /* only the words in `text` */
load_parser load_zero;	  /* only 0, with or without a unit */
load_parser load_refused; /* only the empty value: what else is not supported yet */
load_parser load_noted;	  /* anything, without effect */
load_parser load_ignored; /* anything: it can't matter here */

bool load_child_section(struct load *l, struct vici_iter *it, struct span name);

#endif
