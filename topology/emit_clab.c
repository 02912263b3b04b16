/* The containerlab file: sites, a router that is the internet between them, and a host
 * in each network. Our own runner (labs/run) builds network namespaces from the same
 * file; the labels tell it which node is what. */
#include "topology/emit.h"

static void emit_node(FILE *out, const char *name, const char *image, const char *role)
{
	fprintf(out, "    %s:\n      kind: linux\n      image: %s\n", name, image);
	fprintf(out, "      labels:\n        detour-role: %s\n", role);
}

static void emit_sysctls(FILE *out)
{
	fprintf(out, "      sysctls:\n        net.ipv4.ip_forward: 1\n"
		     "        net.ipv4.conf.all.rp_filter: 0\n"
		     "        net.ipv4.conf.default.rp_filter: 0\n");
}

static void emit_address(FILE *out, const struct prefix *address, const char *interface)
{
	char text[PREFIX_TEXT];

	fprintf(out, "        - ip address add %s dev %s\n", prefix_format(address, text),
		interface);
}

/* To whom a /32 does not say that it is on the link. */
static void emit_host_route(FILE *out, const struct addr *host, const char *interface)
{
	char text[ADDR_TEXT];

	fprintf(out, "        - ip route replace %s dev %s\n", addr_format(host, text), interface);
}

static void emit_default_route(FILE *out, const struct addr *gateway)
{
	char text[ADDR_TEXT];

	fprintf(out, "        - ip route replace default via %s\n", addr_format(gateway, text));
}

static void emit_internet(FILE *out, const struct plan *p)
{
	emit_node(out, "internet", p->topology->host_image, "internet");
	emit_sysctls(out);
	fprintf(out, "      exec:\n");
	for (unsigned i = 0; i < p->n_sites; i++) {
		const struct plan_site *s = &p->sites[i];
		struct prefix address = {s->site->gateway, s->site->public.len};

		emit_address(out, &address, s->internet_side);
		if (address.len == 32)
			emit_host_route(out, &s->site->public.addr, s->internet_side);
	}
}

static void emit_site(FILE *out, const struct plan *p, const struct plan_site *s)
{
	static const char *const files[][2] = {
		{"ipsec.conf", "/etc/ipsec.conf"},
		{"ipsec.secrets", "/etc/ipsec.secrets"},
		{"routed-bridge.conf", "/etc/routed-bridge.conf"},
		{"frr.conf", "/etc/frr/frr.conf"},
		{"daemons", "/etc/frr/daemons"},
	};

	emit_node(out, s->site->name, p->topology->site_image, "site");
	emit_sysctls(out);
	fprintf(out, "      binds:\n");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		fprintf(out, "        - %s/%s:%s:ro\n", s->site->name, files[i][0], files[i][1]);
	fprintf(out, "      exec:\n");
	emit_address(out, &s->site->public, s->outer);
	for (unsigned i = 0; i < s->n_lans; i++)
		emit_address(out, &s->lans[i].router, s->lans[i].interface);
	if (s->site->public.len == 32)
		emit_host_route(out, &s->site->gateway, s->outer);
	emit_default_route(out, &s->site->gateway);
}

static void emit_hosts(FILE *out, const struct plan *p, const struct plan_site *s)
{
	for (unsigned i = 0; i < s->n_lans; i++) {
		emit_node(out, s->lans[i].host_name, p->topology->host_image, "host");
		fprintf(out, "        detour-site: %s\n      exec:\n", s->site->name);
		emit_address(out, &s->lans[i].host, "eth1");
		emit_default_route(out, &s->lans[i].router.addr);
	}
}

static void emit_links(FILE *out, const struct plan_site *s)
{
	fprintf(out, "    - endpoints: [\"%s:%s\", \"internet:%s\"]\n", s->site->name, s->outer,
		s->internet_side);
	for (unsigned i = 0; i < s->n_lans; i++)
		fprintf(out, "    - endpoints: [\"%s:%s\", \"%s:eth1\"]\n", s->site->name,
			s->lans[i].interface, s->lans[i].host_name);
}

void emit_clab(FILE *out, const struct plan *p)
{
	fprintf(out, "# containerlab, made from the topology %s\n", p->topology->name);
	fprintf(out, "name: %s\n\ntopology:\n  nodes:\n", p->topology->name);
	emit_internet(out, p);
	for (unsigned i = 0; i < p->n_sites; i++)
		emit_site(out, p, &p->sites[i]);
	for (unsigned i = 0; i < p->n_sites; i++)
		emit_hosts(out, p, &p->sites[i]);
	fprintf(out, "  links:\n");
	for (unsigned i = 0; i < p->n_sites; i++)
		emit_links(out, &p->sites[i]);
}
