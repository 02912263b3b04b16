/* Which device fits, and the alias that remembers what an adopted one was. */
#include "ipsecd/dataplane/vti.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct addr addr_of(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void aliases_come_back(void **state)
{
	struct vti v = {.owner = VTI_ADOPTED,
			.saved = {.mtu = 1480,
				  .linkmode = 1,
				  .up = true,
				  .settings = {[0] = "0", [3] = "1", [9] = "-1"},
				  .alias = "to the branch; mtu=9 ipsecd:made"}};
	char text[NETLINK_ALIAS_MAX + 1];
	enum vti_owner owner;
	struct vti_saved back;

	(void)state;
	v.saved.local = addr_of("2001:db8::1");
	v.saved.remote = addr_of("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
	vti_alias_format(&v, text);
	assert_true(vti_alias_parse(text, &owner, &back));
	assert_int_equal(owner, VTI_ADOPTED);
	assert_memory_equal(&back, &v.saved, sizeof(back));
	/* routed-bridge's description behind it is not the operator's alias. */
	strncat(text, " | tunnel a-b: up", sizeof(text) - strlen(text) - 1);
	assert_true(vti_alias_parse(text, &owner, &back));
	assert_memory_equal(&back, &v.saved, sizeof(back));
	v.owner = VTI_MADE;
	vti_alias_format(&v, text);
	assert_string_equal(text, "ipsecd:made");
	assert_true(vti_alias_parse(text, &owner, &back));
	assert_int_equal(owner, VTI_MADE);
}

/* An alias is anybody's to write. */
static void aliases_of_others(void **state)
{
	static const char *const others[] = {"", "ipsecd", "ipsecd:made ", "ipsecd:adopted2", "x"};
	static const char *const odd[] = {
		"ipsecd:made | tunnel a-b to b: up",
		"ipsecd:adopted | tunnel a-b: up",
		"ipsecd:adopted",
		"ipsecd:adopted ",
		"ipsecd:adopted  = s=1 =s",
		"ipsecd:adopted s99999999=1",
		"ipsecd:adopted s-1=5",
		"ipsecd:adopted mtu=x up",
		"ipsecd:adopted local=nobody",
		"ipsecd:adopted alias=",
		"ipsecd:adopted s1=123456789012345",
	};
	struct vti_saved saved;
	enum vti_owner owner;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(vti_alias_parse(others[i], &owner, &saved));
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		assert_true(vti_alias_parse(odd[i], &owner, &saved));
	assert_int_equal(strlen(saved.settings[1]), VTI_VALUE_TEXT - 1);
}

static void a_long_alias_is_cut(void **state)
{
	struct vti v = {.owner = VTI_ADOPTED};
	char text[NETLINK_ALIAS_MAX + 1];
	enum vti_owner owner;
	struct vti_saved back;

	(void)state;
	memset(v.saved.alias, 'a', sizeof(v.saved.alias) - 1);
	vti_alias_format(&v, text);
	assert_int_equal(strlen(text), NETLINK_ALIAS_MAX);
	assert_true(vti_alias_parse(text, &owner, &back));
	assert_int_equal(strspn(back.alias, "a"), strlen(back.alias));
}

static void expect(const struct netlink_device *d, const struct vti_wish *w, const char *words)
{
	char why[160] = "";

	assert_int_equal(vti_fits(d, w, why, sizeof(why)), words == NULL);
	if (words && !strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void what_fits(void **state)
{
	struct netlink_device vti = {.kind = NETLINK_DEVICE_VTI, .ikey = 12, .okey = 13};
	struct netlink_device xfrm = {.kind = NETLINK_DEVICE_XFRM, .if_id = 7};
	struct netlink_device other = {.kind = NETLINK_DEVICE_OTHER};
	struct vti_wish w = {.name = "x"};

	(void)state;
	expect(&vti, &w, NULL);
	expect(&xfrm, &w, NULL);
	expect(&other, &w, "another kind");
	w.okey = 12;
	expect(&vti, &w, "okey is 13, wanted is 12");
	w.okey = 13;
	w.ikey = 12;
	w.remote = addr_of("192.0.2.2");
	expect(&vti, &w, NULL);
	vti.remote = addr_of("192.0.2.3");
	expect(&vti, &w, "remote address is 192.0.2.3, wanted is 192.0.2.2");
	w.remote = addr_of("2001:db8::1");
	expect(&vti, &w, "wanted is a vti");
	w = (struct vti_wish){.kind = DEVICE_XFRM};
	expect(&vti, &w, "wanted is an xfrm interface");
	w.if_id = 8;
	expect(&xfrm, &w, "if_id is 7, wanted is 8");
	xfrm.if_id = 0;
	expect(&xfrm, &w, "no if_id");
	w = (struct vti_wish){.kind = DEVICE_VTI};
	vti.ikey = 0;
	expect(&vti, &w, "no ikey"); /* packets without a mark are everybody's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aliases_come_back),
		cmocka_unit_test(aliases_of_others),
		cmocka_unit_test(a_long_alias_is_cut),
		cmocka_unit_test(what_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
