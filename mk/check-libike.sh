#!/usr/bin/env bash
# The engine is sans-I/O: every symbol that its archive wants from outside must be on
# the list below. Sockets, clocks, random sources, files, libev, libmnl and OpenSSL are
# not. Prints each offender with its object file; exit 1 when there is one.
#   mk/check-libike.sh [build/libike.a]
set -u
archive=${1:-build/libike.a}
[ -f "$archive" ] || { echo "check-libike: $archive is not there (make all)"; exit 1; }

# Memory and text of the C library, checked variants, compiler and sanitizer runtime.
libc='mem(cpy|move|set|cmp|chr|mem)|explicit_bzero|str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|dup|ndup|spn|cspn|tol|toul|toull)'
libc="$libc|malloc|calloc|realloc|reallocarray|free|abort|exit|qsort|bsearch|toupper|tolower|isalnum|isxdigit|isprint"
libc="$libc|v?snprintf|inet_(pton|ntop)|__ctype_(b|toupper|tolower)_loc|__errno_location|__assert_fail"
libc="$libc|__isoc(99|23)_(sscanf|strtoull?)|__(memcpy|memmove|memset|vsnprintf|snprintf|strcpy|stpcpy|strncpy|explicit_bzero)_chk"
runtime='__stack_chk_fail|__(asan|ubsan|sancov|sanitizer)_[a-z0-9_]+|_GLOBAL_OFFSET_TABLE_'
# lib/ as far as it is pure.
lib='(buf|reader|addr|endpoint|prefix|table|words)_[a-z0-9_]+|buf_over|log_to|log_to_v|log_limit_pass'
allowed="^($libc|$runtime|$lib)\$"

defined=$(nm --defined-only "$archive" 2>/dev/null | awk 'NF == 3 {print $3}' | sort -u)
offenders=$(nm -u "$archive" 2>/dev/null |
	awk '/:$/ {object = $1; next} NF == 2 && $1 == "U" {sub(/@.*/, "", $2); print $2, object}' |
	sort -u | awk -v allowed="$allowed" -v defined="$defined" '
		BEGIN {n = split(defined, d, "\n"); for (i = 1; i <= n; i++) own[d[i]] = 1}
		!($1 in own) && $1 !~ allowed {print $2 " wants " $1}')
if [ -n "$offenders" ]; then
	printf '%s\n' "$offenders" | sed "s|^|$archive: |; s|\$|: the engine must not|"
	exit 1
fi
