/* Any text as a topology file: errors or a plan that can be written out, never a crash. */
#include "topology/emit.h"

#include <stdlib.h>

static void emit_all(FILE *out, const struct plan *p)
{
	for (unsigned i = 0; i < p->n_sites; i++) {
		emit_ipsec_conf(out, p, i);
		emit_ipsec_secrets(out, p, i);
		emit_frr_conf(out, p, i);
		emit_frr_daemons(out, p, i);
		emit_bridge_conf(out, p, i);
	}
	emit_clab(out, p);
	emit_diagram(out, p);
	emit_survival(out, p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct problems problems;
	struct locations where = {0};
	struct file_topology *file;
	struct topology *topology = NULL;
	struct plan *plan = NULL;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	problems = (struct problems){.file = "fuzz"};
	file = file_load(span_of(data, size), &where, &problems);
	if (file)
		topology = topology_new(file, &problems);
	if (topology)
		plan = plan_new(topology);
	problems_print(&problems, out);
	if (plan)
		emit_all(out, plan);
	fclose(out);
	free(text);
	plan_free(plan);
	topology_free(topology);
	file_free(file);
	locations_free(&where);
	return 0;
}
