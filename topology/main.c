/* topology: from one file about the sites to every site's configuration. The only file
 * of the program that reads and writes files. */
#include "topology/emit.h"
#include "lib/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX  (1 << 20)
#define EXIT_BAD  2
#define PATH_SIZE 4096

static const char help[] =
	"usage: topology check FILE\n"
	"       topology generate FILE --out DIR\n"
	"       topology --version | --help\n"
	"\n"
	"check     say what is wrong with FILE, or which failures the mesh survives\n"
	"generate  write each site's ipsec.conf, ipsec.secrets, frr.conf, daemons and\n"
	"          routed-bridge.conf to DIR/SITE/, and NAME.clab.yml and NAME.mmd to DIR\n";

/* ---- reading ---- */

static bool read_whole(const char *path, uint8_t *buffer, size_t size, size_t *len)
{
	FILE *in = fopen(path, "re");
	bool ok;

	if (!in) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	*len = fread(buffer, 1, size, in);
	ok = !ferror(in) && *len < size;
	if (!ok)
		fprintf(stderr, "%s: %s\n", path,
			*len == size ? "larger than 1 MiB" : strerror(errno));
	fclose(in);
	return ok;
}

struct input {
	struct locations where;
	struct problems problems;
	struct file_topology *file;
	struct topology *topology;
	struct plan *plan;
};

static void input_free(struct input *in)
{
	plan_free(in->plan);
	topology_free(in->topology);
	file_free(in->file);
	locations_free(&in->where);
}

/* false: what is wrong has been printed. */
static bool input_read(const char *path, struct input *in)
{
	uint8_t *text = malloc(FILE_MAX);
	size_t len = 0;
	bool ok = text && read_whole(path, text, FILE_MAX, &len);

	in->problems.file = path;
	if (ok)
		in->file = file_load(span_of(text, len), &in->where, &in->problems);
	free(text);
	if (in->file)
		in->topology = topology_new(in->file, &in->problems);
	if (in->topology)
		in->plan = plan_new(in->topology);
	if (in->plan)
		topology_warn(in->topology, &in->problems);
	problems_print(&in->problems, stderr);
	return in->plan != NULL;
}

/* ---- writing ---- */

struct output {
	const char *name;
	mode_t mode;
	void (*emit_site)(FILE *out, const struct plan *p, unsigned site);
	void (*emit)(FILE *out, const struct plan *p); /* of the whole mesh: "NAME" + name */
};

static const struct output outputs[] = {
	{"ipsec.conf", 0644, emit_ipsec_conf, NULL},
	{"ipsec.secrets", 0600, emit_ipsec_secrets, NULL},
	{"frr.conf", 0644, emit_frr_conf, NULL},
	{"daemons", 0644, emit_frr_daemons, NULL},
	{"routed-bridge.conf", 0644, emit_bridge_conf, NULL},
	{".clab.yml", 0644, NULL, emit_clab},
	{".mmd", 0644, NULL, emit_diagram},
};

static bool make_dir(const char *path)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return true;
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return false;
}

/* Written beside and renamed: a reader never sees half a file, and a file of secrets
 * never has the old one's mode. */
static bool write_file(const char *path, const struct output *output, const struct plan *p,
		       unsigned site)
{
	char temporary[PATH_SIZE + 8];
	FILE *out = NULL;
	bool ok;
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, output->mode);
	if (fd >= 0)
		out = fdopen(fd, "w");
	if (!out) {
		fprintf(stderr, "%s: %s\n", temporary, strerror(errno));
		return false;
	}
	if (output->emit_site)
		output->emit_site(out, p, site);
	else
		output->emit(out, p);
	ok = !ferror(out);
	ok = fclose(out) == 0 && ok && rename(temporary, path) == 0;
	if (!ok)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return ok;
}

static bool generate_site(const char *dir, const struct plan *p, unsigned site)
{
	char path[PATH_SIZE];
	size_t n = (size_t)snprintf(path, sizeof(path), "%s/%s", dir, p->sites[site].site->name);

	if (n >= sizeof(path) - 32 || !make_dir(path))
		return false;
	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
		snprintf(path + n, sizeof(path) - n, "/%s", outputs[i].name);
		if (outputs[i].emit_site && !write_file(path, &outputs[i], p, site))
			return false;
	}
	return true;
}

static bool generate_mesh(const char *dir, const struct plan *p)
{
	char path[PATH_SIZE];

	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s%s", dir, p->topology->name, outputs[i].name);
		if (outputs[i].emit && !write_file(path, &outputs[i], p, 0))
			return false;
	}
	return true;
}

static bool generate(const char *dir, const struct plan *p)
{
	bool ok = make_dir(dir);

	for (unsigned i = 0; ok && i < p->n_sites; i++)
		ok = generate_site(dir, p, i);
	return ok && generate_mesh(dir, p);
}

/* ---- the command line ---- */

static int usage(const char *format, const char *word, const char *const *known)
{
	const char *near = word && known ? words_nearest(word, known) : NULL;

	fprintf(stderr, "topology: ");
	fprintf(stderr, word ? "%s '%s'" : "%s", format, word);
	if (near)
		fprintf(stderr, "; did you mean '%s'?", near);
	fprintf(stderr, "\n%s", help);
	return EXIT_BAD;
}

static int command_check(const char *path)
{
	struct input in = {0};
	bool ok = input_read(path, &in);

	if (ok) {
		printf("%s: %u sites, %u links, no errors\n", path, in.plan->n_sites,
		       in.plan->n_links);
		emit_survival(stdout, in.plan);
	}
	input_free(&in);
	return ok ? 0 : EXIT_BAD;
}

static int command_generate(const char *path, const char *dir)
{
	struct input in = {0};
	bool ok = input_read(path, &in);
	int status = EXIT_BAD;

	if (ok)
		status = generate(dir, in.plan) ? 0 : 1;
	input_free(&in);
	return status;
}

int main(int argc, char **argv)
{
	static const char *const commands[] = {"check", "generate", "--version", "--help", NULL};
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "--help") == 0 || strcmp(command, "--version") == 0) {
		fputs(command[2] == 'h' ? help : "topology " DETOUR_VERSION " (Detour)\n", stdout);
		return 0;
	}
	if (strcmp(command, "check") == 0)
		return argc == 3 ? command_check(argv[2])
				 : usage("check takes one file", NULL, NULL);
	if (strcmp(command, "generate") == 0) {
		if (argc == 5 && strcmp(argv[3], "--out") == 0)
			return command_generate(argv[2], argv[4]);
		if (argc == 5 && strcmp(argv[2], "--out") == 0)
			return command_generate(argv[4], argv[3]);
		return usage("generate takes a file and --out DIR", NULL, NULL);
	}
	return argc > 1 ? usage("unknown command", command, commands)
			: usage("no command", NULL, NULL);
}
