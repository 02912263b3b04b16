"""Network namespaces: created and wired for a test, and removed on every way out."""
import ctypes
import os
import re
import socket
import subprocess

PREFIX = "interop"


def run(*argv, check=True, stdin=None, env=None):
    """Runs a command, returns its output; the error names the command and its words."""
    done = subprocess.run(argv, input=stdin, text=True, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout.strip()}")
    return done.stdout


class Namespace:
    """A namespace with its loopback up. Addresses need no duplicate detection."""

    def __init__(self, role):
        self.name = f"{PREFIX}-{os.getpid()}-{role}"
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        for conf in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{conf}.accept_dad", 0)

    def argv(self, *argv):
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv, **options):
        return run(*self.argv(*argv), **options)

    def ip(self, *argv, **options):
        return run("ip", "-n", self.name, *argv, **options)

    def batch(self, commands):
        """Many `ip` commands by one process."""
        self.ip("-batch", "-", stdin="".join(f"{command}\n" for command in commands))

    def links(self):
        """Names of the devices."""
        return self.run("ls", "/sys/class/net").split()

    def sysctl(self, key, value):
        self.run("sysctl", "-q", "-w", f"{key}={value}")

    def address(self, device, *prefixes):
        for prefix in prefixes:
            self.ip("address", "add", prefix, "dev", device)

    def address_once(self, device, address):
        """Adds a host address unless it is there."""
        length = 128 if ":" in address else 32
        self.ip("address", "replace", f"{address}/{length}", "dev", device)

    def route(self, *words):
        self.ip(*(["-6"] if ":" in words[0] else []), "route", "replace", *words)

    def nft(self, rules):
        """Loads nftables rules; nft_clear() takes them all away again."""
        self.run("nft", "-f", "-", stdin=rules)

    def nft_clear(self):
        self.run("nft", "flush", "ruleset")

    def remove(self):
        """Ends what still runs inside (a daemon's child, a ping) and the namespace."""
        pids = run("ip", "netns", "pids", self.name, check=False).split()
        for pid in pids:
            try:
                os.kill(int(pid), 9)
            except (ProcessLookupError, ValueError):
                pass
        run("ip", "netns", "delete", self.name, check=False)


def veth(a, device_a, b, device_b):
    """A cable between two namespaces, both ends up."""
    run("ip", "link", "add", device_a, "netns", a.name, "type", "veth",
        "peer", "name", device_b, "netns", b.name)
    a.ip("link", "set", device_a, "up")
    b.ip("link", "set", device_b, "up")


def remove_stale():
    """Takes away namespaces of test processes that no longer live (kill -9)."""
    for line in run("ip", "netns", "list").splitlines():
        match = re.match(rf"({PREFIX}-(\d+)-\S+)", line)
        if match and not os.path.exists(f"/proc/{match[2]}"):
            run("ip", "netns", "delete", match[1], check=False)


CLONE_NEWNET = 0x40000000


def _setns(descriptor):
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12 only
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def socket_of(namespace, *kind):
    """socket.socket(*kind) in a namespace: sockets stay in the one where they were made."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/var/run/netns/{namespace.name}", os.O_RDONLY)
    try:
        _setns(other)
        return socket.socket(*kind)
    finally:
        _setns(own)
        os.close(own)
        os.close(other)


def _socket(namespace, address, kind):
    """A bound socket in a namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket_of(namespace, family, kind)
    sock.settimeout(20)
    sock.bind((address, 0))
    return sock


def udp_socket(namespace, address):
    return _socket(namespace, address, socket.SOCK_DGRAM)


def tcp_socket(namespace, address):
    return _socket(namespace, address, socket.SOCK_STREAM)
