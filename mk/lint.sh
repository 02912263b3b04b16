#!/usr/bin/env bash
# Layout, dependency directions, sizes, banned functions, the engine's symbols.
# Prints each finding as file:line and reason; exit 1 when there is one.
set -u
build=${1:-build}
findings=0

finding() {
	findings=$((findings + 1))
	echo "$1"
}

mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.c' '*.h')
mapfile -t own < <(printf '%s\n' "${sources[@]}" | grep -Ev '^tests/')
[ ${#own[@]} -gt 1 ] || finding "lint: git lists no sources here"

# ---- layout: releases of clang-format differ, so one of them decides
layout=14
release=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')
if [ "$release" = $layout ]; then
	while IFS= read -r f; do
		finding "$f: not as clang-format lays it out (make format)"
	done < <(printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -n 8 sh -c \
		'for f; do clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || echo "$f"; done' sh)
elif [ -n "$release" ]; then
	echo "lint: layout is that of clang-format $layout, and this is $release: not checked here"
else
	finding "lint: no clang-format, layout unchecked"
fi

# ---- directions: which folder may include which (left: the folder, right: allowed)
allowed() {
	case $1 in
	lib) echo lib ;;
	ipsecd/model) echo "lib ipsecd/model" ;;
	ipsecd/wire) echo "lib ipsecd/model ipsecd/wire" ;;
	ipsecd/crypto) echo "lib ipsecd/model ipsecd/crypto" ;;
	ipsecd/ike) echo "lib ipsecd/model ipsecd/wire ipsecd/crypto/crypto.h ipsecd/ike" ;;
	ipsecd/dataplane) echo "lib ipsecd/model ipsecd/crypto/crypto.h ipsecd/dataplane" ;;
	ipsecd/net) echo "lib ipsecd/net" ;;
	ipsecd/ipc) echo "lib ipsecd/model ipsecd/ipc ipsecd/dataplane/dataplane.h" ;;
	ipsecd/state) echo "lib ipsecd/state" ;;
	ipsecd/remote) echo "lib ipsecd/model ipsecd/ipc ipsecd/dataplane/dataplane.h ipsecd/net/udp.h ipsecd/means.h ipsecd/remote" ;;
	ipsecd/pool) echo "lib ipsecd/model ipsecd/pool" ;;
	ipsecd/config) echo "lib ipsecd/model ipsecd/config" ;;
	ipsecd/control) echo "lib ipsecd/model ipsecd/control ipsecd/crypto/crypto.h ipsecd/ike/engine.h ipsecd/dataplane/dataplane.h" ;;
	ipsecd/ctl) echo "lib ipsecd/ctl" ;;
	ipsecd) echo "lib ipsecd" ;;
	routed-bridge) echo "lib routed-bridge" ;;
	topology) echo "lib topology" ;;
	labs) echo "lib labs" ;;
	*) echo "" ;;
	esac
}

for f in "${own[@]}"; do
	dir=$(dirname "$f")
	ok=$(allowed "$dir")
	while IFS=: read -r line target; do
		pass=
		for a in $ok; do
			case $target in "$a" | "$a"/*) pass=1 ;; esac
		done
		[ -n "$pass" ] || finding "$f:$line: $dir must not include $target"
	done < <(grep -nE '^#include "' "$f" | sed -E 's/^([0-9]+):#include "([^"]+)".*/\1:\2/')
	case $dir in
	ipsecd/crypto) ;;
	*) grep -nE '^#include <openssl/' "$f" | while IFS= read -r l; do echo "$f:$l: only ipsecd/crypto includes OpenSSL"; done | grep . && findings=$((findings + 1)) ;;
	esac
	n=$(grep -cE '^#include "' "$f")
	case $f in *.c) [ "$n" -le 8 ] || [ "$dir" = ipsecd ] || finding "$f: $n own includes, at most 8" ;; esac
done

# ---- sizes
for f in "${own[@]}"; do
	n=$(wc -l <"$f")
	[ "$n" -le 600 ] || finding "$f: $n lines, at most 600"
done
if ctags --version 2>/dev/null | grep -q 'Universal Ctags'; then
	while read -r lines name where; do
		finding "$where: $name has $lines lines, at most 100"
	done < <(printf '%s\n' "${own[@]}" | grep '\.c$' |
		ctags -L - --languages=C --kinds-C=f --fields=+ne -o - 2>/dev/null |
		awk -F'\t' '{l=0;e=0;for(i=4;i<=NF;i++){if($i~/^line:/)l=substr($i,6);if($i~/^end:/)e=substr($i,5)}
			if(e-l+1>100) print e-l+1, $1, $2 ":" l}')
else
	finding "lint: no Universal Ctags (package universal-ctags), function sizes unchecked"
fi

# ---- banned words
banned='\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca|system|popen)\('
while IFS= read -r hit; do finding "$hit: banned function"; done < <(grep -nE "$banned" "${own[@]}" /dev/null | grep -vE '^\S+:[0-9]+:\s*(/\*|\* |//)' | cut -c1-120)
while IFS= read -r hit; do finding "$hit"; done < <(grep -nE '\b(TODO|FIXME|XXX)\b' "${own[@]}" /dev/null | cut -c1-120)

# ---- docs/rfc-coverage.md and docs/operations.md name tests and files that are there
coverage=docs/rfc-coverage.md pains=docs/operations.md
while IFS=: read -r doc file name; do
	case $file in
	contract) set -- tests/contract/*.c ;;
	*) set -- "tests/sim/test_sim_$file.c" "tests/unit/test_$file.c" ;;
	esac
	grep -qsE "^static void (test_)?$name\\(" "$@" || finding "$doc: there is no test $file:$name"
done < <(grep -E '^\|' $coverage $pains /dev/null | grep -oE '^[^:]*:|`[a-z]+:[a-z_0-9]+`' |
	awk '/:$/ {doc = $0; next} {gsub("`", ""); print doc $0}' | sort -u)
while read -r name; do
	grep -qs "$name" tests/kernel/*.py || finding "$pains: there is no test $name"
done < <(grep -E '^\|' $pains | grep -oE '`pain_[0-9a-z_]+`' | tr -d '`' | sort -u)
while read -r file; do
	[ -e "ipsecd/ike/$file" ] || [ -e "ipsecd/$file" ] || [ -e "tests/sim/$file" ] ||
		finding "$coverage: there is no file $file"
done < <(grep -E '^\|' $coverage | grep -oE '`[a-z_/0-9]+\.[ch]`' | tr -d '`' | sort -u)

# ---- the engine is sans-I/O
mk/check-libike.sh "$build/libike.a" || findings=$((findings + 1))

if [ $findings -eq 0 ]; then
	echo "lint: ${#sources[@]} passed, 0 failed"
else
	echo "lint: ${#sources[@]} files, $findings findings"
	exit 1
fi
