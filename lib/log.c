/* Logging for programs: formatting, levels, stderr and syslog, rate limits. */
#include "lib/log.h"
#include "lib/mono.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#define LINE_MAX_BYTES 1024

static const char *const level_names[] = {"error", "warn", "notice", "info", "debug", NULL};

void log_to_v(const struct log_sink *sink, enum log_level level, const char *subsystem,
	      const char *name, const char *format, va_list args)
{
	char text[LINE_MAX_BYTES];

	if (!sink || !sink->write || level > sink->level)
		return;
	vsnprintf(text, sizeof(text), format, args);
	sink->write(sink->ctx, level, subsystem, name ? name : "", text);
}

void log_to(const struct log_sink *sink, enum log_level level, const char *subsystem,
	    const char *name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_to_v(sink, level, subsystem, name, format, args);
	va_end(args);
}

static void write_stderr(void *ctx, enum log_level level, const char *subsystem, const char *name,
			 const char *text)
{
	struct timespec now;
	struct tm tm;
	char when[32];

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	fprintf(stderr, "%s.%03ld %-6s %s%s%s%s %s\n", when, now.tv_nsec / 1000000,
		level_names[level], subsystem, *name ? "[" : "", name, *name ? "]" : "", text);
}

static void write_syslog(void *ctx, enum log_level level, const char *subsystem, const char *name,
			 const char *text)
{
	static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG};

	(void)ctx;
	syslog(priority[level], "%s%s%s%s %s", subsystem, *name ? "[" : "", name, *name ? "]" : "",
	       text);
}

static void write_both(void *ctx, enum log_level level, const char *subsystem, const char *name,
		       const char *text)
{
	write_syslog(ctx, level, subsystem, name, text);
	if (level <= LOG_LEVEL_WARN)
		write_stderr(ctx, level, subsystem, name, text);
}

static struct log_sink default_sink = {.write = write_stderr, .level = LOG_LEVEL_INFO};

void log_open(const char *program, bool to_syslog, enum log_level level)
{
	default_sink.level = level;
	default_sink.write = to_syslog ? write_syslog : write_stderr;
	if (to_syslog)
		openlog(program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	else
		setvbuf(stderr, NULL, _IOLBF, LINE_MAX_BYTES * 2);
}

void log_echo(bool on)
{
	if (default_sink.write != write_stderr)
		default_sink.write = on ? write_both : write_syslog;
}

struct log_sink *log_default(void)
{
	return &default_sink;
}

bool log_uses_syslog(void)
{
	return default_sink.write != write_stderr;
}

bool log_parse_level(const char *word, enum log_level *out)
{
	for (unsigned i = 0; level_names[i]; i++) {
		if (strcmp(word, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

const char *const *log_level_words(void)
{
	return level_names;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ns)
{
	uint64_t second = now_ns / MONO_S;

	if (limit->second != second) {
		limit->second = second;
		limit->used = 0;
	}
	if (limit->used >= limit->burst)
		return false;
	limit->used++;
	return true;
}
