#include "tests/fuzz/seed.h"

#include <stdio.h>
#include <stdlib.h>

static const char *folder;
static unsigned written;

void seed_begin(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		exit(2);
	}
	folder = argv[1];
}

void seed_fail(const char *why)
{
	fprintf(stderr, "%s: %s\n", folder, why);
	exit(1);
}

void seed_write(struct span bytes)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/seed-%04u", folder, written++);
	f = fopen(path, "wb");
	if (!f || fwrite(bytes.ptr, 1, bytes.len, f) != bytes.len || fclose(f))
		seed_fail("a seed can't be written");
}
