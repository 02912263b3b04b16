/* The transition table: what is in it, what is not, and that every row is sane. */
#include "ipsecd/ike/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define B(type) WIRE_BIT(PAYLOAD_##type)

/* ---- doubles: only their addresses count ---- */

#define HANDLER(name)                 \
	void name(struct exchange *x) \
	{                             \
		(void)x;              \
	}

HANDLER(init_respond)
HANDLER(init_consume_response)
HANDLER(auth_respond)
HANDLER(auth_consume_response)
HANDLER(create_child_respond)
HANDLER(rekey_child_respond)
HANDLER(rekey_ike_respond)
HANDLER(informational_respond)
HANDLER(exchange_consume_response)
HANDLER(exchange_discard_response)

void exchange_refuse(struct exchange *x, uint16_t notify, struct span data, const char *reason)
{
	(void)data;
	(void)reason;
	x->now = notify;
}

/* ---- tests ---- */

static void test_rows(void **state)
{
	unsigned rows = 0;

	(void)state;
	for (enum ike_sa_state s = 0; s < IKE_SA_STATES; s++) {
		for (enum exchange_kind k = 0; k < KIND_COUNT; k++) {
			for (enum exchange_role r = ROLE_REQUEST; r <= ROLE_RESPONSE; r++) {
				const struct transition *t = transition_find(s, k, r);

				if (!t)
					continue;
				rows++;
				assert_non_null(t->handle);
				assert_int_equal(t->required & ~t->allowed, 0);
				assert_true(t->next < IKE_SA_STATES);
			}
		}
	}
	assert_int_equal(rows, 36);
}

static void test_nothing_after_the_end(void **state)
{
	(void)state;
	for (enum exchange_kind k = 0; k < KIND_COUNT; k++) {
		assert_null(transition_find(IKE_SA_ENDED, k, ROLE_REQUEST));
		assert_null(transition_find(IKE_SA_ENDED, k, ROLE_RESPONSE));
		/* Before authentication there is IKE_SA_INIT and IKE_AUTH, nothing else. */
		if (k > KIND_IKE_AUTH) {
			assert_null(transition_find(IKE_SA_HALF_OPEN, k, ROLE_REQUEST));
			assert_null(transition_find(IKE_SA_AUTH_SENT, k, ROLE_REQUEST));
			assert_null(transition_find(IKE_SA_AUTH_SENT, k, ROLE_RESPONSE));
		}
	}
	assert_null(transition_find(IKE_SA_ESTABLISHED, KIND_IKE_AUTH, ROLE_REQUEST));
	assert_null(transition_find(IKE_SA_HALF_OPEN, KIND_IKE_SA_INIT, ROLE_REQUEST));
}

/* RFC 7296 2.25.2: an IKE_SA on its way out answers TEMPORARY_FAILURE. */
static void test_closing(void **state)
{
	static const enum ike_sa_state closing[] = {IKE_SA_REKEYED, IKE_SA_DELETING};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		for (enum exchange_kind k = KIND_CREATE_CHILD; k <= KIND_REKEY_IKE; k++) {
			struct exchange x = {0};

			transition_find(closing[i], k, ROLE_REQUEST)->handle(&x);
			assert_int_equal(x.now, NOTIFY_TEMPORARY_FAILURE);
		}
	}
}

static enum exchange_kind kind_of(uint8_t exchange, const struct wire_message *m)
{
	enum exchange_kind kind = KIND_COUNT;

	assert_true(exchange_classify(exchange, m, &kind));
	return kind;
}

static void test_classify(void **state)
{
	struct wire_message m = {.sa = {.n = 1, .p[0].protocol = PROTOCOL_IKE}};
	enum exchange_kind kind;

	(void)state;
	assert_int_equal(kind_of(34, &m), KIND_IKE_SA_INIT);
	assert_int_equal(kind_of(35, &m), KIND_IKE_AUTH);
	assert_int_equal(kind_of(37, &m), KIND_INFORMATIONAL);
	assert_false(exchange_classify(38, &m, &kind));
	assert_false(exchange_classify(0, &m, &kind));
	assert_int_equal(kind_of(36, &m), KIND_REKEY_IKE);
	m.sa.p[0].protocol = PROTOCOL_ESP;
	assert_int_equal(kind_of(36, &m), KIND_CREATE_CHILD);
	m.present = B(TSI) | B(TSR);
	assert_int_equal(kind_of(36, &m), KIND_CREATE_CHILD);
	m.n_notifies = 1;
	m.notifies[0].type = NOTIFY_REKEY_SA;
	assert_int_equal(kind_of(36, &m), KIND_REKEY_CHILD);
}

static void test_payloads(void **state)
{
	const struct transition *t =
		transition_find(IKE_SA_AUTH_SENT, KIND_IKE_AUTH, ROLE_RESPONSE);
	struct wire_message m = {.present = B(IDR) | B(AUTH) | B(SA) | B(NOTIFY) | B(VENDOR_ID)};

	(void)state;
	assert_int_equal(transition_missing(t, &m), 0);
	assert_int_equal(transition_unexpected(t, &m), 0);
	m.present |= B(NONCE);
	assert_int_equal(transition_unexpected(t, &m), B(NONCE));
	m.present = B(IDR);
	assert_int_equal(transition_missing(t, &m), B(AUTH));
	/* An error needs nothing beside it. */
	m.present = B(NOTIFY);
	m.n_notifies = 1;
	m.notifies[0].type = NOTIFY_AUTHENTICATION_FAILED;
	assert_int_equal(transition_missing(t, &m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	 cmocka_unit_test(test_nothing_after_the_end),
		cmocka_unit_test(test_closing),	 cmocka_unit_test(test_classify),
		cmocka_unit_test(test_payloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
