/* Lists that connections share: what is the same is there once, and goes with the last. */
#include "ipsecd/model/conn.h"
#include "tests/support/propose.h"

static struct proposal_list parse(const char *words)
{
	struct proposal_list l;
	size_t at, len;

	assert_int_equal(proposal_list_parse(PROTOCOL_ESP, words, &l, &at, &len), PROPOSAL_OK);
	return l;
}

static void what_is_the_same_is_there_once(void **state)
{
	struct proposal_list a = parse("aes128gcm16,aes256-sha256"), b = a;
	const struct proposal_list *first = proposals_share(&a), *second = proposals_share(&b);

	(void)state;
	assert_ptr_equal(first, second);
	assert_true(proposal_list_equal(first, &a));
	proposals_release(first);
	assert_true(proposal_list_equal(second, &a)); /* still the second one's */
	proposals_release(second);
	proposals_release(NULL);
}

/* What lies behind the last proposal and the last transform is no part of it. */
static void only_what_is_used_counts(void **state)
{
	struct proposal_list a = parse("aes128gcm16"), b;
	const struct proposal_list *first, *second;

	(void)state;
	memset(&b, 0x5a, sizeof(b));
	b.n = a.n;
	memcpy(&b.p[0], &a.p[0],
	       offsetof(struct proposal, transforms) +
		       a.p[0].n_transforms * sizeof(struct transform));
	first = proposals_share(&a);
	second = proposals_share(&b);
	assert_ptr_equal(first, second);
	proposals_release(first);
	proposals_release(second);
}

static void what_differs_is_kept_apart(void **state)
{
	static const char *const words[] = {"aes128gcm16", "aes256gcm16", "aes128gcm16-x25519",
					    "aes128gcm16,aes256gcm16", "aes256gcm16,aes128gcm16"};
	struct proposal_list numbered = parse(words[0]);
	const struct proposal_list *shared[6];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct proposal_list l = parse(words[i]);

		shared[i] = proposals_share(&l);
	}
	numbered.p[0].number = 7;
	shared[5] = proposals_share(&numbered);
	for (unsigned i = 0; i < 6; i++) {
		for (unsigned j = 0; j < i; j++)
			assert_ptr_not_equal(shared[i], shared[j]);
	}
	assert_int_equal(shared[5]->p[0].number, 7);
	for (unsigned i = 0; i < 6; i++)
		proposals_release(shared[i]);
}

static void connections_share(void **state)
{
	struct conn *a = conn_new("a"), *b = conn_new("b"), *copy;
	struct child_config *net = conn_add_child(a, "net");

	(void)state;
	assert_ptr_equal(a->proposals, b->proposals);
	propose(PROTOCOL_IKE, "aes128gcm16-prfsha256-x25519", &a->proposals);
	assert_ptr_not_equal(a->proposals, b->proposals);
	copy = conn_copy(a);
	assert_ptr_equal(copy->proposals, a->proposals);
	assert_ptr_equal(copy->children[0].proposals, net->proposals);
	conn_free(a);
	assert_int_equal(copy->proposals->n, 1);
	assert_int_equal(copy->children[0].proposals->n, 2);
	conn_free(copy);
	conn_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_the_same_is_there_once),
		cmocka_unit_test(only_what_is_used_counts),
		cmocka_unit_test(what_differs_is_kept_apart),
		cmocka_unit_test(connections_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
