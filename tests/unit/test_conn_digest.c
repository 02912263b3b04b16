/* conn_digest says what conn_compare says, of a change to each field. */
#include "ipsecd/model/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct conn *make(void)
{
	struct conn *c = conn_new("a");

	assert_non_null(conn_add_child(c, "net"));
	assert_non_null(conn_add_child(c, "other"));
	assert_true(id_parse("a.example", &c->local_id));
	c->local[0].kind = HOST_ADDR;
	assert_true(addr_parse("192.0.2.1", &c->local[0].addr));
	c->local[1] = c->local[2] = c->local[0];
	assert_true(pool_ref_parse("10.3.0.0/24", &c->pools[0]));
	c->n_pools = 1;
	c->children[0].updown = strdup("/etc/updown");
	return c;
}

static void check(struct conn *a, struct conn *b, const char *what)
{
	enum conn_difference d = conn_compare(a, b);
	const struct child_config *x = &a->children[0], *y = &b->children[0];

	if ((conn_digest(a) == conn_digest(b)) != (d == CONN_SAME) ||
	    (conn_digest_ike(a) == conn_digest_ike(b)) != (d != CONN_DIFFERS))
		fail_msg("%s: conn_compare says %d, the digests do not", what, (int)d);
	if ((child_config_digest_traffic(x) == child_config_digest_traffic(y)) !=
		    child_config_same_traffic(x, y) ||
	    (child_config_digest_keying(x) == child_config_digest_keying(y)) !=
		    child_config_same_keying(x, y))
		fail_msg("%s: children compare otherwise than their digests", what);
	conn_free(a);
	conn_free(b);
}

/* Shared lists do not change: another one takes the place. */
#define CHANGE_LIST(shared, statement)                        \
	do {                                                  \
		struct proposal_list list = *(shared);        \
		struct proposal *p = &list.p[0];              \
		statement;                                    \
		assert_true(proposals_set(&(shared), &list)); \
	} while (0)

#define CHANGE(statement)                                   \
	do {                                                \
		struct conn *a = make(), *b = make();       \
		struct child_config *net = &b->children[0]; \
		(void)net;                                  \
		statement;                                  \
		check(a, b, #statement);                    \
	} while (0)

static void test_ike(void **state)
{
	(void)state;
	CHANGE((void)0);
	CHANGE(b->name[0] = 'b');
	CHANGE(b->n_local = 2);
	CHANGE(b->local[0].kind = HOST_ANY);
	CHANGE(b->local[0].addr.bytes[3] = 9);
	CHANGE(b->remote[0].kind = HOST_PREFIX);
	CHANGE(b->local_port = 4500);
	CHANGE(b->remote_port = 4500);
	CHANGE(b->local_id.data[0] = 'A'); /* names without regard to case */
	CHANGE(b->local_id.data[0] = 'x');
	CHANGE(b->remote_id.type = ID_FQDN);
	CHANGE(b->remote_id_set = !b->remote_id_set);
	CHANGE(b->n_vips = 1);
	CHANGE(b->n_dns = 1);
	CHANGE(b->n_dns_wanted = 1);
	CHANGE(b->pools[0].last.bytes[3] = 77);
	CHANGE(b->pools[0].name[1] = '1');
	CHANGE(CHANGE_LIST(b->proposals, p->transforms[0].id++));
	CHANGE(CHANGE_LIST(b->proposals, p->n_transforms--));
	CHANGE(CHANGE_LIST(b->proposals, p->number++)); /* no difference */
	CHANGE(b->encap = !b->encap);
	CHANGE(b->tunnel.name[0] = 'x');
	CHANGE(b->tunnel.kind = DEVICE_XFRM);
	CHANGE(b->tunnel.external = true);
	CHANGE(b->tunnel.mark_in.value = 7);
	CHANGE(b->tunnel.mark_out.mask = 7);
	CHANGE(b->tunnel.if_id_in = 7);
	CHANGE(b->tunnel.if_id_out = 7);
	CHANGE(b->source = strdup("elsewhere")); /* for messages alone */
}

static void test_policy_and_device(void **state)
{
	(void)state;
	CHANGE(b->rekey = !b->rekey);
	CHANGE(b->reauth = !b->reauth);
	CHANGE(b->rekey_time++);
	CHANGE(b->over_time++);
	CHANGE(b->rand_time++);
	CHANGE(b->reauth_time++);
	CHANGE(b->dpd_delay++);
	CHANGE(b->retransmit_interval++);
	CHANGE(b->retransmit_timeout++);
	CHANGE(b->keying_tries++);
	CHANGE(b->unique = UNIQUE_KEEP);
	CHANGE(b->tunnel.mtu = 1300);
	CHANGE(b->tunnel.mss = 1200);
	CHANGE(b->tunnel.n_addrs = 1);
}

static void test_children(void **state)
{
	(void)state;
	CHANGE(b->n_children = 1; free(b->children[1].name);
	       proposals_release(b->children[1].proposals));
	CHANGE(net->name[0] = 'x');
	CHANGE(net->reqid = 7);
	CHANGE(net->local_ts.ts[0].protocol = 6);
	CHANGE(net->remote_ts.ts[0].port_end = 80);
	CHANGE(CHANGE_LIST(net->proposals, p->transforms[0].key_bits = 1));
	CHANGE(net->rekey_time++);
	CHANGE(net->life_time++);
	CHANGE(net->rand_time++);
	CHANGE(net->life_bytes++);
	CHANGE(net->rekey_bytes++);
	CHANGE(net->life_packets++);
	CHANGE(net->rekey_packets++);
	CHANGE(net->replay_window++);
	CHANGE(net->resources++);
	CHANGE(net->flags.df = CHILD_DF_CLEAR);
	CHANGE(net->flags.dscp = CHILD_DSCP_NO);
	CHANGE(net->flags.no_ecn = true);
	CHANGE(net->flags.offload = CHILD_OFFLOAD_YES);
	CHANGE(net->flags.tfc_pad = 9);
	CHANGE(net->flags.set_mark_out = 9);
	CHANGE(net->flags.set_mark_out_mask = 9);
	CHANGE(net->flags.set_mark_in = 9);
	CHANGE(net->flags.set_mark_in_mask = 9);
	CHANGE(net->flags.aggfrag.mode = AGGFRAG_YES);
	CHANGE(net->flags.aggfrag.dont_frag = true);
	CHANGE(net->flags.aggfrag.rate_bits = true);
	CHANGE(net->flags.aggfrag.packet_size = 999);
	CHANGE(net->flags.aggfrag.reorder_window = 9);
	CHANGE(net->flags.aggfrag.drop_time = 9);
	CHANGE(net->flags.aggfrag.max_queue = 9000);
	CHANGE(net->flags.aggfrag.rate = 9);
	CHANGE(net->start_action = ACTION_TRAP);
	CHANGE(net->dpd_action = ACTION_TRAP);
	CHANGE(net->close_action = ACTION_TRAP);
	CHANGE(net->updown[1] = 'x');
}

/* Their order is nothing that anybody sees. */
static void test_order_of_children(void **state)
{
	struct conn *a = make(), *b = make();
	struct child_config first = b->children[0];

	(void)state;
	b->children[0] = b->children[1];
	b->children[1] = first;
	assert_int_equal(conn_compare(a, b), CONN_SAME);
	assert_true(conn_digest(a) == conn_digest(b));
	conn_free(a);
	conn_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ike),
		cmocka_unit_test(test_policy_and_device),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_order_of_children),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
