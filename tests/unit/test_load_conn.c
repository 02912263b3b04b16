/* load-conn: swanctl.conf's words to struct conn, and what is refused with which words. */
#include "ipsecd/control/load_conn.h"
#include "lib/vici_codec.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static uint8_t message[65536];
static char why[LOAD_CONN_WHY];
static char notes[4096];

/* ---- messages from text: "name {", "}", "key = value", "key = [a, b]", one a line ---- */

static void put_list(struct buf *b, const char *key, char *items)
{
	vici_put_list(b, key);
	for (char *w = strtok(items, ", ]"); w; w = strtok(NULL, ", ]"))
		vici_put_item(b, w);
	vici_put_list_end(b);
}

static void put_line(struct buf *b, char *line)
{
	char *equals = strstr(line, " = "), *brace = strchr(line, '{');

	if (strcmp(line, "}") == 0) {
		vici_put_section_end(b);
	} else if (equals) {
		*equals = '\0';
		if (equals[3] == '[')
			put_list(b, line, equals + 4);
		else
			vici_put(b, line, equals + 3);
	} else if (brace) {
		brace[-1] = '\0';
		vici_put_section(b, line);
	}
}

static struct span build(const char *text)
{
	struct buf b = buf_over(message, sizeof(message));
	char *copy = strdup(text), *next = copy, *line;
	size_t offset;

	assert_non_null(copy);
	while ((line = next) && *line) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		put_line(&b, line);
	}
	free(copy);
	assert_false(b.overflow);
	assert_int_equal(vici_body_check(buf_span(&b), &offset), VICI_OK);
	return buf_span(&b);
}

static void take_note(void *ctx, const char *conn, const char *text)
{
	size_t n = strlen(notes);

	(void)ctx;
	snprintf(notes + n, sizeof(notes) - n, "%s: %s\n", conn, text);
}

static struct conn *parse(const char *text)
{
	static const struct load_notes sink = {.note = take_note};

	notes[0] = why[0] = '\0';
	return load_conn_parse(build(text), &sink, why, sizeof(why));
}

#define AUTH "local {\nauth = psk\n}\nremote {\nauth = psk\n}\n"

static struct conn *accept_conn(const char *text)
{
	struct conn *c = parse(text);

	if (!c)
		fail_msg("refused: %s", why);
	return c;
}

/* `keys` inside a conn that is otherwise right. */
static void refuse(const char *keys, const char *want)
{
	char text[4096];
	struct conn *c;

	snprintf(text, sizeof(text), "gw {\n" AUTH "%s\n}\n", keys);
	c = parse(text);
	if (c)
		fail_msg("accepted: %s", keys);
	assert_string_equal(why, want);
}

static void refuse_child(const char *keys, const char *want)
{
	char text[4096];

	snprintf(text, sizeof(text), "children {\nnet {\n%s\n}\n}", keys);
	refuse(text, want);
}

/* ---- what is accepted ---- */

static void test_whole(void **state)
{
	struct conn *c = accept_conn("gw {\n"
				     "version = 2\n"
				     "local_addrs = [192.0.2.1]\n"
				     "remote_addrs = [203.0.113.7, peer.example.org]\n"
				     "proposals = [aes128gcm16-prfsha256-x25519, default]\n"
				     "dpd_delay = 5s\n"
				     "rekey_time = 2h\n"
				     "encap = yes\n"
				     "message_id_sync = no\n"
				     "unique = keep\n"
				     "keyingtries = 3\n"
				     "interface = vpn0\n"
				     "interface_ip = [10.255.0.1/30, fd00::1/64]\n"
				     "mtu = 1400\n"
				     "local-1 {\nauth = psk\nid = a.example.org\n}\n"
				     "remote-1 {\nauth = psk\nid = b.example.org\n}\n"
				     "children {\nnet {\n"
				     "esp_proposals = [aes128gcm16]\n"
				     "local_ts = [10.1.0.0/16, fd01::/48]\n"
				     "remote_ts = [0.0.0.0/0]\n"
				     "rekey_time = 30m\n"
				     "life_bytes = 1000M\n"
				     "start_action = trap|start\n"
				     "dpd_action = restart\n"
				     "close_action = none\n"
				     "mark_in = 42\nmark_out = 0x2b/0xffffffff\n"
				     "replay_window = 1024\n"
				     "reqid = 7\n"
				     "}\n}\n}\n");
	const struct child_config *ch = &c->children[0];

	(void)state;
	assert_string_equal(c->name, "gw");
	assert_string_equal(c->source, "vici");
	assert_int_equal(c->n_local, 1);
	assert_int_equal(c->local[0].kind, HOST_ADDR);
	assert_int_equal(c->n_remote, 2);
	assert_int_equal(c->remote[1].kind, HOST_NAME);
	assert_string_equal(c->remote[1].name, "peer.example.org");
	assert_true(c->proposals->n > 1);
	assert_true(c->dpd_delay == 5 * MONO_S);
	assert_true(c->rekey_time == 7200 * MONO_S);
	assert_true(c->over_time == 720 * MONO_S && c->rand_time == 720 * MONO_S);
	assert_int_equal(c->encap, ENCAP_YES);
	assert_false(c->message_id_sync);
	assert_int_equal(c->unique, UNIQUE_KEEP);
	assert_int_equal(c->keying_tries, 3);
	assert_int_equal(c->local_id.type, ID_FQDN);
	assert_true(c->remote_id_set);
	assert_string_equal(c->tunnel.name, "vpn0");
	assert_true(c->tunnel.named);
	assert_int_equal(c->tunnel.n_addrs, 2);
	assert_int_equal(c->tunnel.mtu, 1400);
	assert_int_equal(c->tunnel.mark_in.value, 42);
	assert_int_equal(c->tunnel.mark_in.mask, UINT32_MAX);
	assert_int_equal(c->tunnel.mark_out.value, 0x2b);
	assert_int_equal(c->n_children, 1);
	assert_string_equal(ch->name, "net");
	assert_int_equal(ch->proposals->n, 1);
	assert_int_equal(ch->local_ts.n, 2);
	assert_int_equal(ch->remote_ts.n, 1);
	assert_true(ch->rekey_time == 1800 * MONO_S);
	assert_true(ch->life_time == 1980 * MONO_S);
	assert_true(ch->rand_time == 180 * MONO_S);
	assert_true(ch->life_bytes == (uint64_t)1000 << 20);
	assert_true(ch->rekey_bytes == ch->life_bytes - ch->life_bytes / 10);
	assert_int_equal(ch->start_action, ACTION_START);
	assert_int_equal(ch->dpd_action, ACTION_START);
	assert_int_equal(ch->close_action, ACTION_NONE);
	assert_int_equal(ch->replay_window, 1024);
	assert_int_equal(ch->reqid, 7);
	assert_string_equal(notes, "");
	conn_free(c);
}

static void test_minimal(void **state)
{
	struct conn *c = accept_conn("gw {\n" AUTH "children {\nnet {\n}\n}\n}\n");

	(void)state;
	assert_int_equal(c->n_children, 1);
	assert_true(c->children[0].local_ts.ts[0].dynamic);
	assert_true(c->children[0].rekey_time == 3600 * MONO_S);
	assert_true(c->children[0].life_time == 3960 * MONO_S);
	assert_true(c->dpd_delay == CONN_DPD_DELAY);
	assert_false(c->tunnel.named);
	assert_string_equal(c->tunnel.name, "gw");
	assert_false(c->remote_id_set);
	conn_free(c);
}

/* What stock configurations say and what is the default here. */
static void test_harmless(void **state)
{
	struct conn *c = accept_conn(
		"gw {\n" AUTH "version = 0\nmobike = no\nfragmentation = no\naggressive = no\n"
		"pools = []\nvips = []\ndpd_timeout = 30s\nsend_cert = ifasked\n"
		"send_certreq = no\nif_id_in = 0\nif_id_out = 0x0\ndscp = 000000\n"
		"mediation = no\nchildless = allow\nppk_required = no\n"
		"children {\nnet {\nmode = tunnel\npolicies = yes\nipcomp = no\n"
		"hw_offload = auto\ninactivity = 0s\npriority = 0\nhostaccess = yes\ntfc_padding = "
		"0\n"
		"updown = \nah_proposals = []\nset_mark_in = 0\ncopy_df = yes\n"
		"sha256_96 = no\nif_id_in = 0\n}\n}\n}\n");

	(void)state;
	assert_string_equal(notes, "");
	conn_free(c);
	c = accept_conn("gw {\n" AUTH "mobike = yes\nfragmentation = yes\nreauth_time = 1d\n}\n");
	assert_string_equal(notes, "gw: mobike=yes has no effect: MOBIKE is not supported yet\n"
				   "gw: fragmentation=yes has no effect: IKE fragmentation is not "
				   "supported yet\n");
	assert_true(c->reauth_time == 86400 * MONO_S);
	conn_free(c);
}

/* A client may send a list as one value with commas. */
static void test_lists_as_values(void **state)
{
	struct conn *c = accept_conn("gw {\n" AUTH "remote_addrs = 192.0.2.1, 192.0.2.2\n"
				     "children {\nnet {\n"
				     "local_ts = 10.1.0.0/16,10.2.0.0/16\n"
				     "esp_proposals = aes128gcm16,aes256gcm16\n}\n}\n}\n");

	(void)state;
	assert_int_equal(c->n_remote, 2);
	assert_int_equal(c->children[0].local_ts.n, 2);
	assert_int_equal(c->children[0].proposals->n, 2);
	conn_free(c);
}

static void test_addresses(void **state)
{
	struct conn *c = accept_conn("gw {\n" AUTH "vips = 0.0.0.0, ::, 10.3.0.7\n"
				     "pools = [rw, 10.3.0.0/24, %config]\n}\n");

	(void)state;
	assert_int_equal(c->n_vips, 3);
	assert_int_equal(c->vips[1].family, AF_INET6);
	assert_int_equal(c->n_pools, 3);
	assert_int_equal(c->pools[0].kind, POOL_NAMED);
	assert_string_equal(c->pools[0].name, "rw");
	assert_int_equal(c->pools[1].kind, POOL_RANGE);
	assert_int_equal(c->pools[2].kind, POOL_CLIENT);
	conn_free(c);
}

static void test_hosts(void **state)
{
	struct conn *c = accept_conn("gw {\n" AUTH "local_addrs = [%any]\n"
				     "remote_addrs = [10.0.0.0/8, 2001:db8::1, 0.0.0.0/0]\n}\n");

	(void)state;
	assert_int_equal(c->local[0].kind, HOST_ANY);
	assert_int_equal(c->remote[0].kind, HOST_PREFIX);
	assert_int_equal(c->remote[1].kind, HOST_ADDR);
	assert_int_equal(c->remote[2].kind, HOST_ANY);
	conn_free(c);
}

static void test_shared_device(void **state)
{
	struct conn *c = accept_conn("gw {\n" AUTH "children {\n"
				     "a {\ninterface = vpn1\nmark_in = 5\n}\n"
				     "b {\ninterface = vpn1\nmark_in = 5\n}\n}\n}\n");

	(void)state;
	assert_int_equal(c->n_children, 2);
	assert_string_equal(c->tunnel.name, "vpn1");
	conn_free(c);
}

static void test_kernel_device(void **state)
{
	struct conn *c = accept_conn(
		"gw {\nlocal_addrs = [192.0.2.1]\n" AUTH "if_id_in = 0x10\nmss = auto\nchildren {\n"
		"a {\ntfc_padding = mtu\ncopy_df = no\ncopy_ecn = no\nhw_offload = crypto\n"
		"copy_dscp = yes\nset_mark_in = 0x5/0xff\nset_mark_out = 0\n"
		"mode = iptfs\niptfs_rate = 500pps\niptfs_packet_size = 1280\n"
		"iptfs_max_queue_size = 64K\niptfs_reorder_window = 9\niptfs_drop_time = 20ms\n"
		"iptfs_dont_frag = yes\n"
		"updown = /usr/bin/env script\npriority = 7\n}\n}\n}\n");
	const struct child_config *ch = &c->children[0];

	(void)state;
	assert_int_equal(c->tunnel.kind, DEVICE_XFRM);
	assert_int_equal(c->tunnel.if_id_in, 0x10);
	assert_int_equal(c->tunnel.if_id_out, 0x10);
	assert_int_equal(c->tunnel.mss, TUNNEL_MSS_AUTO);
	assert_true(c->tunnel.external);
	assert_int_equal(c->tunnel.local.family, AF_INET);
	assert_int_equal(c->tunnel.remote.family, 0);
	assert_int_equal(ch->flags.tfc_pad, CHILD_TFC_MTU);
	assert_int_equal(ch->flags.df, CHILD_DF_CLEAR);
	assert_int_equal(ch->flags.dscp, CHILD_DSCP_BOTH);
	assert_true(ch->flags.no_ecn);
	assert_int_equal(ch->flags.offload, CHILD_OFFLOAD_YES);
	assert_int_equal(ch->flags.set_mark_in, 5);
	assert_int_equal(ch->flags.set_mark_in_mask, 0xff);
	assert_int_equal(ch->flags.set_mark_out_mask, 0);
	assert_true(aggfrag_params_equal(&ch->flags.aggfrag,
					 &(struct aggfrag_params){.mode = AGGFRAG_YES,
								  .dont_frag = true,
								  .packet_size = 1280,
								  .reorder_window = 9,
								  .drop_time = 20000,
								  .max_queue = 65536,
								  .rate = 500}));
	assert_string_equal(ch->updown, "/usr/bin/env script");
	assert_string_equal(notes, "gw: children.a.priority=7 has no effect: in a tunnel the "
				   "newest CHILD_SA comes first\n");
	conn_free(c);
}

/* Marks that the plane chooses; a script beside a device of ours. */
static void test_unique_mark(void **state)
{
	struct conn *c = accept_conn("gw {\n" AUTH "interface = x1\nchildren {\n"
				     "a {\nmark_in = %unique-dir\nmark_out = 9\n"
				     "set_mark_out = %same\nupdown = /bin/true\n}\n}\n}\n");

	(void)state;
	assert_true(c->tunnel.keyed);
	assert_false(c->tunnel.external);
	assert_int_equal(c->tunnel.kind, DEVICE_AUTO);
	assert_int_equal(c->tunnel.mark_in.value, 0);
	assert_int_equal(c->tunnel.mark_out.value, 9);
	assert_int_equal(c->children[0].flags.set_mark_out, 9);
	conn_free(c);
}

/* ---- what is refused ---- */

static void test_unknown(void **state)
{
	(void)state;
	refuse("remote_adrs = [192.0.2.1]", "remote_adrs: unknown key, nearest is 'remote_addrs'");
	refuse("xyzzyplugh = 1", "xyzzyplugh: unknown key");
	refuse("childs {\n}", "childs: unknown section, expected local..., remote... or children");
	refuse_child("start_acton = start",
		     "children.net.start_acton: unknown key, nearest is 'start_action'");
	refuse("children {\nfoo = bar\n}", "children.foo: unknown key");
	refuse_child("inner {\n}", "children.net.inner: unknown section");
}

/* Such a name in an answer is the end of it for libvici. */
static void test_names(void **state)
{
	(void)state;
	assert_null(parse("z\xc3\xbcrich {\n" AUTH "}\n"));
	assert_string_equal(why, "the connection's name: expected printable ASCII characters: "
				 "swanctl can't read others");
	refuse("children {\nt\xc3\xbcr {\n}\n}",
	       "children. a child's name: expected printable ASCII characters: swanctl can't read "
	       "others");
}

static void test_bad_values(void **state)
{
	(void)state;
	refuse("version = 1", "version=1: only 0|2 is supported yet");
	refuse("encap = maybe", "encap='maybe': expected auto, yes or no");
	refuse("dpd_delay = soon", "dpd_delay='soon': expected a time such as 30s, 5m, 1h or 1d");
	refuse("remote_port = 70000", "remote_port='70000': expected a number from 1 to 65535");
	refuse("unique = sometimes", "unique='sometimes': expected no, never, keep or replace");
	refuse("remote_addrs = [192.0.2.300]", "remote_addrs='192.0.2.300': expected an address of "
					       "a machine, a prefix, a name or %any");
	refuse("remote_addrs = [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5]",
	       "remote_addrs: at most 4 addresses");
	refuse("remote_port = [1, 2]", "remote_port: expected one value, there are 2");
	refuse("mtu = 100", "mtu='100': expected a number from 576 to 65535");
	refuse("interface = a/b", "interface='a/b': expected the name of a new device: at most 15 "
				  "letters, digits, '-', '_', '.'");
	refuse("interface_ip = [10.0.0.300/8]",
	       "interface_ip='10.0.0.300/8': expected an address with its prefix length, "
	       "such as 10.0.0.1/30");
	refuse("encap = yes\nencap = no", "encap: given twice");
	refuse("rekey_time = 10s\nrand_time = 10s", "rand_time: not less than rekey_time");
	refuse_child("local_ts = [10.0.0.0/33]",
		     "children.net.local_ts='10.0.0.0/33': expected a prefix, a range or dynamic, "
		     "with or without [protocol/port]");
	refuse_child("start_action = go",
		     "children.net.start_action='go': expected none, trap, start or trap|start");
	refuse_child("mark_in = %uniq", "children.net.mark_in='%uniq': expected a mark such as 42, "
					"or %unique");
	refuse_child("mark_out = 5/0xff", "children.net.mark_out=5/0xff: a tunnel device compares "
					  "all 32 bits of a mark; leave the mask out");
	refuse_child("set_mark_in = 5/4", "children.net.set_mark_in='5/4': expected a mark such as "
					  "42 or 0x2a/0xff, or %same");
	refuse_child("set_mark_out = %same",
		     "children.net.set_mark_out=%same: expected a number in mark_out before it");
	refuse_child("if_id_in = x",
		     "children.net.if_id_in='x': expected a number from 0 to 4294967295");
	refuse_child("tfc_padding = 65535",
		     "children.net.tfc_padding='65535': expected a number from 0 to 65534");
	refuse_child("copy_df = out", "children.net.copy_df='out': expected yes or no");
	refuse_child("copy_ecn = out", "children.net.copy_ecn='out': expected yes or no");
	refuse_child("hw_offload = full",
		     "children.net.hw_offload='full': expected no, auto, yes or crypto");
	refuse_child("hw_offload = packet",
		     "children.net.hw_offload='packet': a network card's policies know no tunnel "
		     "devices; expected no, auto, yes or crypto");
	refuse_child("iptfs = maybe", "children.net.iptfs='maybe': expected no, yes or require");
	refuse_child("iptfs_rate = fast", "children.net.iptfs_rate='fast': expected a rate such as "
					  "500pps, 800kbit or 10mbit, or no");
	refuse_child("iptfs_packet_size = 1",
		     "children.net.iptfs_packet_size='1': expected a number from 256 to 65535");
	refuse_child("iptfs_max_queue_size = 1",
		     "children.net.iptfs_max_queue_size='1': expected bytes from 4K to 16M");
	refuse_child("iptfs_reorder_window = 0",
		     "children.net.iptfs_reorder_window='0': expected a number from 1 to 64");
	refuse_child("iptfs_drop_time = 1h",
		     "children.net.iptfs_drop_time='1h': expected a time from 1ms to 10s");
	/* A time of vici's: a lone number is in seconds, as in swanctl.conf. */
	refuse_child("iptfs_drop_time = 20",
		     "children.net.iptfs_drop_time='20': expected a time from 1ms to 10s");
	refuse_child("iptfs_rate = 500pps", "children.net.iptfs_rate does nothing without "
					    "mode=iptfs, iptfs=yes or iptfs=require");
	refuse_child("mode = tunnel\niptfs_dont_frag = no",
		     "children.net.iptfs_dont_frag does nothing without mode=iptfs, iptfs=yes or "
		     "iptfs=require");
	refuse_child("mode = iptfs\niptfs_drop_time = 2\niptfs = no",
		     "children.net.iptfs_drop_time does nothing without mode=iptfs, iptfs=yes or "
		     "iptfs=require");
	refuse_child("iptfs_dont_frag = 2", "children.net.iptfs_dont_frag='2': expected yes or no");
	refuse_child("copy_dscp = both",
		     "children.net.copy_dscp='both': expected out, in, yes or no");
	refuse_child("replay_window = 5000",
		     "children.net.replay_window='5000': expected a number from 0 to 4096");
	refuse_child("updown = ipsec _updown", "children.net.updown='ipsec _updown': expected the "
					       "full path of a script");
	refuse("interface_type = tun", "interface_type='tun': expected auto, vti or xfrm");
	refuse("mss = 7", "mss='7': expected a number from 88 to 65495, auto or no");
	refuse_child("rekey_time = 2h\nlife_time = 1h",
		     "children.net.rekey_time: not less than life_time");
	refuse_child("rekey_bytes = 10Q", "children.net.rekey_bytes='10Q': expected a number such "
					  "as 1000, 500K, 2M or 1G");
}

/* As in ipsec.conf. */
static void test_bad_addresses(void **state)
{
	(void)state;
	refuse("interface_ip = [10.0.0.1/30, 10.0.1.0/24]",
	       "interface_ip='10.0.1.0/24': the network's own address; expected the address of "
	       "a host");
	refuse("interface_ip = [10.0.1.255/24]", "interface_ip='10.0.1.255/24': the broadcast "
						 "address; expected the address of a host");
	refuse("interface_ip = [224.0.0.5/24]",
	       "interface_ip='224.0.0.5/24': a multicast, reserved or "
	       "broadcast address; expected the address "
	       "of a host");
	refuse("interface_ip = [::1/128]",
	       "interface_ip='::1/128': a loopback address; expected the address of a host");
	refuse("interface_ip = [0.0.0.0/32]",
	       "interface_ip='0.0.0.0/32': expected an address with its prefix length, such as "
	       "10.0.0.1/30");
	refuse_child("interface_ip = [fd00::/64]",
		     "children.net.interface_ip='fd00::/64': the subnet-router anycast address "
		     "(RFC 4291 2.6.1); expected the address of a host");
	refuse("mtu = 1279\ninterface_ip = [10.0.0.1/30, fd00::1/64]",
	       "mtu=1279: expected 1280 or more, which IPv6 needs (RFC 8200 5): there is such an "
	       "address in interface_ip");
	refuse("local_addrs = [192.0.2.9, 192.0.2.1]\nremote_addrs = [a.example, 192.0.2.1]",
	       "remote_addrs='192.0.2.1': in local_addrs, too; expected an address of the peer");
	refuse("local_addrs = [192.0.2.1]\nremote_addrs = [2001:db8::1]",
	       "remote_addrs='2001:db8::1': expected IPv4, as local_addrs='192.0.2.1'");
	refuse("remote_addrs = [10.0.0.0/8]\nlocal_addrs = [2001:db8::1]",
	       "remote_addrs='10.0.0.0/8': expected IPv6, as local_addrs='2001:db8::1'");
}

static void test_good_addresses(void **state)
{
	static const char *const good[] = {
		"interface_ip = [10.0.0.0/31, 10.0.0.4/32, fd00::/127, fd00::ffff/112]",
		"mtu = 1280\ninterface_ip = [fd00::1/64]",
		"mtu = 1279\ninterface_ip = [10.0.0.1/30]",
		"local_addrs = [192.0.2.1, 2001:db8::1]\nremote_addrs = [2001:db8::2]",
		"local_addrs = [192.0.2.1]\nremote_addrs = [a.example]",
		"local_addrs = [%any]\nremote_addrs = [%any]",
		"remote_addrs = [192.0.2.0/24]\nlocal_addrs = [192.0.2.1]",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[512];

		snprintf(text, sizeof(text), "gw {\n" AUTH "%s\n}\n", good[i]);
		conn_free(accept_conn(text));
	}
}

static void test_proposals(void **state)
{
	(void)state;
	refuse("proposals = [aes12gcm16-prfsha256-x25519]",
	       "proposals='aes12gcm16-prfsha256-x25519': unknown word 'aes12gcm16', nearest is "
	       "'aes128gcm16'");
	refuse_child("esp_proposals = [xyzzyplugh]",
		     "children.net.esp_proposals='xyzzyplugh': unknown word 'xyzzyplugh'");
}

static void test_later(void **state)
{
	(void)state;
	refuse("vips = [carol]", "vips='carol': expected an address, 0.0.0.0 or :: for any");
	refuse("vips = [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5]", "vips: at most 4 addresses");
	refuse("pools = [radius]", "pools=radius: not supported yet");
	refuse("ppk_id = x", "ppk_id=x: postquantum preshared keys are not supported yet");
	refuse_child("mode = transport",
		     "children.net.mode=transport: only tunnel and iptfs are supported yet");
	refuse_child("ah_proposals = [sha256]",
		     "children.net.ah_proposals=sha256: AH is not supported");
	refuse_child("ipcomp = yes", "children.net.ipcomp=yes: only no is supported yet");
}

static void test_authentication(void **state)
{
	(void)state;
	assert_null(parse("gw {\nlocal {\nauth = psk\n}\n}\n"));
	assert_string_equal(why, "remote: missing section with auth=psk");
	assert_null(parse("gw {\nlocal {\n}\nremote {\nauth = psk\n}\n}\n"));
	assert_string_equal(why, "local.auth: missing; the default, pubkey, is not supported yet, "
				 "expected psk");
	assert_null(parse("gw {\nlocal {\nauth = pubkey\n}\n}\n"));
	assert_string_equal(why, "local.auth=pubkey: only psk is supported yet");
	assert_null(parse("gw {\nremote-x {\nauth = eap-mschapv2\n}\n}\n"));
	assert_string_equal(why, "remote-x.auth=eap-mschapv2: only psk is supported yet");
	assert_null(parse("gw {\nlocal {\nauth = pks\n}\n}\n"));
	assert_string_equal(why, "local.auth='pks': unknown, expected psk");
	refuse("local-2 {\nauth = psk\n}",
	       "local-2: a second round of authentication is not supported yet");
	assert_null(parse("gw {\nlocal {\nauth = psk\ncerts = [x]\n}\n}\n"));
	assert_string_equal(why, "local.certs=x: certificates are not supported yet");
}

static void test_device_conflicts(void **state)
{
	(void)state;
	refuse("children {\na {\ninterface = x1\n}\nb {\ninterface = x2\n}\n}",
	       "children.b.interface=x2: the connection's device is 'x1' already");
	refuse("children {\na {\nmark_in = 1\n}\nb {\nmark_in = 2\n}\n}",
	       "children.b.mark_in=2: the children of a connection share its device and so its "
	       "marks");
	refuse("children {\na {\n}\na {\n}\n}", "children.a. given twice");
	refuse("if_id_in = 1\nchildren {\na {\nif_id_in = 2\n}\n}",
	       "children.a.if_id_in=2: the children of a connection share its device and so its "
	       "interface id");
	refuse("if_id_in = 1\nif_id_out = 2", "if_id_out: a connection has one device, so that "
					      "if_id_in and if_id_out are the same");
	refuse("if_id_in = 1\nmark_out = 2", "if_id_in: a vti has marks, an xfrm interface has an "
					     "id, and a connection has one device");
	refuse("if_id_in = %unique\ninterface_type = vti",
	       "if_id_in: a vti has marks, an xfrm interface has an id, and a connection has one "
	       "device");
	refuse("mark_in = 1\ninterface_type = xfrm",
	       "mark_in: an xfrm interface has an id, marks are for a vti");
	refuse("interface_type = xfrm\nchildren {\na {\ninterface_type = vti\n}\n}",
	       "children.a.interface_type=vti: the connection's device is 'xfrm' already");
	refuse("mtu = 1400\nmss = 1361", "mss: not 40 less than mtu");
	refuse("mss = 1000\nchildren {\na {\nmss = auto\n}\n}",
	       "children.a.mss=auto: the connection's device has another one already");
}

static void test_shapes(void **state)
{
	static const uint8_t nul[] = {1,   2,	'g', 'w', 3,   5, 'e', 'n', 'c',
				      'a', 'p', 0,   3,	  'y', 0, 's', 2};

	(void)state;
	assert_null(parse(""));
	assert_string_equal(why, "expected a section: the connection");
	assert_null(parse("a = b\n"));
	assert_null(parse("gw {\n" AUTH "}\ngw2 {\n" AUTH "}\n"));
	assert_string_equal(why, "expected one section, the connection, and nothing behind it");
	assert_null(load_conn_parse(span_of(nul, sizeof(nul)), NULL, why, sizeof(why)));
	assert_string_equal(why, "encap: the value contains a NUL");
}

static void times(const char *given, uint64_t rekey, uint64_t over, uint64_t spread)
{
	char text[512];
	struct conn *c;

	snprintf(text, sizeof(text), "gw {\n" AUTH "%s\n}\n", given);
	c = accept_conn(text);
	assert_int_equal(c->rekey_time / MONO_S, rekey);
	assert_int_equal(c->over_time / MONO_S, over);
	assert_int_equal(c->rand_time / MONO_S, spread);
	conn_free(c);
}

static void test_times_left_out(void **state)
{
	(void)state;
	times("", 14400, 1440, 1440);
	times("reauth_time = 1d", 0, 8640, 8640);
	times("reauth_time = 48h", 0, 17280, 17280);
	times("reauth_time = 0", 14400, 1440, 1440);
	times("rekey_time = 1h\nreauth_time = 24h", 3600, 8640, 1800);
	times("rekey_time = 1h\nover_time = 2h", 3600, 7200, 1800);
	times("rekey_time = 1h\nreauth_time = 24h\nrand_time = 5m", 3600, 8640, 300);
	times("rekey_time = 0", 0, 0, 0);
}

/* No prefix of a request's bytes crashes or leaks, checked or not. */
static void test_truncated(void **state)
{
	struct span whole = build("gw {\n" AUTH "remote_addrs = [a.b, 192.0.2.1]\n"
				  "children {\nnet {\nlocal_ts = [10.0.0.0/8]\n}\n}\n}\n");

	(void)state;
	for (size_t n = 0; n < whole.len; n++)
		assert_null(load_conn_parse(span_of(whole.ptr, n), NULL, why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_harmless),
		cmocka_unit_test(test_lists_as_values),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_shared_device),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_shared_device),
		cmocka_unit_test(test_kernel_device),
		cmocka_unit_test(test_unique_mark),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_good_addresses),
		cmocka_unit_test(test_proposals),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_authentication),
		cmocka_unit_test(test_device_conflicts),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_times_left_out),
		cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
