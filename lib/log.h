/* Logging for programs. One line per event:
 *	time level subsystem[name] sentence
 * The engine and the pure modules never call this: they give text away through
 * the sink they were handed (struct log_sink), and the shell passes
 * log_default() in. Secrets never reach a log function. */
#ifndef DETOUR_LOG_H
#define DETOUR_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

struct log_sink {
	/* `subsystem` is a short word (ike, cfg, esp, net, knl, vici, job); `name` a
	 * connection's name or "". `text` has no newline. */
	void (*write)(void *ctx, enum log_level level, const char *subsystem, const char *name,
		      const char *text);
	void *ctx;
	enum log_level level; /* above it nothing is even formatted */
};

/* Formats and hands to the sink; does nothing for a NULL sink or above its level. */
void log_to(const struct log_sink *sink, enum log_level level, const char *subsystem,
	    const char *name, const char *format, ...) __attribute__((format(printf, 5, 6)));
void log_to_v(const struct log_sink *sink, enum log_level level, const char *subsystem,
	      const char *name, const char *format, va_list args);

/* The process's own sink: stderr with time stamps, or syslog. */
void log_open(const char *program, bool to_syslog, enum log_level level);
bool log_uses_syslog(void); /* what log_open was told */
/* Warnings and errors to standard error, too, while a daemon has its caller's terminal. */
void log_echo(bool on);
struct log_sink *log_default(void);
/* error, warn, notice, info, debug; false for another word. */
bool log_parse_level(const char *word, enum log_level *out);
const char *const *log_level_words(void); /* these five, NULL-terminated */
const char *log_level_name(enum log_level level);

/* At most `burst` lines in each second, counted per call site:
 *	static struct log_limit limit = {.burst = 5};
 *	if (log_limit_pass(&limit, now)) ... */
struct log_limit {
	unsigned burst;
	unsigned used;
	uint64_t second;
};

bool log_limit_pass(struct log_limit *limit, uint64_t now_ns);

#endif
