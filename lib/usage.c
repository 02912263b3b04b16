/* Complaints about command lines. Reads getopt's variables; ends no program. */
#include "lib/usage.h"
#include "lib/words.h"

#include <getopt.h>
#include <stdio.h>

#define OPTIONS_MAX 32
#define OPTION_SIZE 64
#define WORDS_SIZE  160

void usage_not_one_of(const char *program, const char *what, const char *word,
		      const char *const *known)
{
	char text[WORDS_SIZE];

	fprintf(stderr, "%s: %s '%s' is not known; expected %s\n", program, what, word,
		words_choice(known, text, sizeof(text)));
}

void usage_unknown(const char *program, const char *what, const char *word,
		   const char *const *known)
{
	const char *near = words_nearest(word, known);

	fprintf(stderr, "%s: %s '%s' is not known", program, what, word);
	if (near)
		fprintf(stderr, "; did you mean '%s'?\n", near);
	else
		fprintf(stderr, " (see %s --help)\n", program);
}

static void unknown_option(const char *program, const char *word, const struct option *table)
{
	char text[OPTIONS_MAX][OPTION_SIZE];
	const char *known[OPTIONS_MAX + 1] = {0};

	for (unsigned i = 0; table[i].name && i < OPTIONS_MAX; i++) {
		snprintf(text[i], OPTION_SIZE, "--%s", table[i].name);
		known[i] = text[i];
	}
	usage_unknown(program, "option", word, known);
}

void usage_bad_option(const char *program, int complaint, char *const *argv,
		      const struct option *table)
{
	const char *word = argv[optind - 1];
	size_t n = strcspn(word, "=");
	char shown[OPTION_SIZE];

	/* getopt stands before a group of short options until it has read the last of them. */
	if (complaint == '?' && optopt && !(strncmp(word, "--", 2) == 0 && word[n]))
		snprintf(shown, sizeof(shown), "-%c", optopt);
	else
		snprintf(shown, sizeof(shown), "%.*s", (int)n, word);
	if (complaint == ':')
		fprintf(stderr, "%s: option '%s' needs a value\n", program, shown);
	else if (optopt && shown[1] == '-')
		fprintf(stderr, "%s: option '%s' takes no value\n", program, shown);
	else
		unknown_option(program, shown, table);
}
