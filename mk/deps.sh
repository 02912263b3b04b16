#!/bin/sh
# Installs with apt what the named groups of packages lack; does nothing, and
# needs no root, when nothing is missing.
#
#   mk/deps.sh build          compile the programs
#   mk/deps.sh build lab      and run the labs (FRR, network tools)
#   mk/deps.sh build lab uml  and run them with the kernel's IPsec
#   mk/deps.sh build lab test and run every test (peers, fuzzers, formatters)
#   mk/deps.sh build count    count instructions
#   mk/deps.sh build lab bench and measure; beside us: strongswan, openvpn, wireguard-go
set -eu

packages_of() {
	case $1 in
	build) echo gcc make pkg-config libc6-dev linux-libc-dev libssl-dev libmnl-dev libnftnl-dev \
		libev-dev libmicrohttpd-dev uthash-dev libc-ares-dev libcyaml-dev libyaml-dev libjansson-dev \
		libseccomp-dev libcap-ng-dev libsystemd-dev liburcu-dev ;;
	lab)   echo frr iproute2 iputils-ping procps python3 python3-yaml ;;
	uml)   echo user-mode-linux kmod ;;
	test)  echo libcmocka-dev clang clang-format libclang-rt-dev universal-ctags git \
		charon-systemd strongswan-swanctl libcharon-extra-plugins \
		libstrongswan-extra-plugins libstrongswan-standard-plugins \
		valgrind iperf3 tcpdump nftables ethtool bird2 systemd systemd-container apparmor \
		user-mode-linux qemu-system-x86 busybox-static kmod iptables ;;
	count) echo valgrind python3 ;;
	bench) echo iperf3 ethtool openssl ;;
	strongswan) echo charon-systemd strongswan-swanctl libcharon-extra-plugins \
		libstrongswan-extra-plugins libstrongswan-standard-plugins ;;
	openvpn) echo openvpn ;;
	wireguard-go) echo wireguard-go wireguard-tools ;;
	*)     echo "deps.sh: unknown group '$1' (build, lab, uml, test, count, bench, strongswan, openvpn, wireguard-go)" >&2; exit 2 ;;
	esac
}

# The fuzzer runtime carries the compiler's version in its package name.
real_name() {
	case $1 in
	libclang-rt-dev)
		v=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
		echo "libclang-rt-${v:-14}-dev" ;;
	*) echo "$1" ;;
	esac
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

find_missing() {
	missing=
	for group in "$@"; do
		names=$(packages_of "$group")
		for name in $names; do
			name=$(real_name "$name")
			installed "$name" || missing="$missing $name"
		done
	done
}

find_missing "$@"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: not root; run: apt-get install$missing" >&2
	exit 1
fi
# Without package lists (a fresh container) real_name could only guess.
if ! apt-cache show gcc >/dev/null 2>&1; then
	apt-get update -q
	find_missing "$@"
fi
echo "deps: installing$missing"

# A package that is installed for a lab or a test must not start a daemon on
# this machine: no service of the machine's own is wanted, only the programs.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	made_policy=1
fi
trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT
trap 'exit 130' INT TERM

export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the list is meant to be split
apt-get install -y -q --no-install-recommends $missing ||
	{ apt-get update -q && apt-get install -y -q --no-install-recommends $missing; }
