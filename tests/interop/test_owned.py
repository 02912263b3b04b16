#!/usr/bin/env python3
"""Somebody owns a process of a running ipsecd, with a tunnel that is up and a ping every millisecond
through it: ike, plane or helper makes the system calls that he likes, and says over its links what he
likes. Each attempt is refused and told; nobody else notices."""
import errno
import os
import secrets
import socket
import struct
import sys
import time
from contextlib import contextmanager, suppress

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import owner  # noqa: E402
from tests.support.ipsecd import BINARY  # noqa: E402
from tests.support.killing import SPLIT, reconnect  # noqa: E402
from tests.support.owned import Ended  # noqa: E402
from tests.support.owner import DGRAM, FASTOPEN, HERE, INET, RAW, STREAM, Owner, framed, text, unix  # noqa: E402
from tests.support.pair import OursWithOurs, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import common_links, descriptors, memory_has  # noqa: E402
from tests.support.rekeying import child_spis  # noqa: E402
from tests.support.replacing import kill_role  # noqa: E402
from tests.support.sniffer import LinkWatch  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

HOSTILE = os.path.join(os.path.dirname(BINARY), "hostile-ike")
NAME = "net"
OWN = "172.16.77.1/32"  # the operator's, on eth0
LINES_A_SECOND = 10  # of refusals by one process
FILTER_LOG = 2  # linux/seccomp.h
SUPERVISOR_FD, IPC_KEEP, IPC_RUN, IPC_RULE = 3, 19, 198, 81
RTPROT_OURS, RULES_MAX = 68, 16
TCP_ULP, FASTOPEN_CONNECT = 31, 30
RTM_NEWLINK, RTM_NEWROUTE, RTM_NEWADDR = 16, 24, 20


# ---- what has to stay as it is ----

def network(peer):
    """Addresses, routes and rules."""
    return [peer.namespace.ip(*words) for words in (
        ("-o", "address"), ("route", "show", "table", "all"), ("rule",), ("-6", "rule"),
        ("-6", "route", "show", "table", "main"))]


@contextmanager
def unnoticed(pair, but=()):
    """0 pings lost, the link stays UP, nothing is negotiated, no process but these ends. Afterwards the
    one that was owned is killed, and the next one goes on with what the peer has, too."""
    ours = pair.ours
    reconnect(ours)
    before, spis, pids = network(ours), child_spis(ours, NAME), ours.roles()
    index = ours.link("tun1")["ifindex"]
    with LinkWatch(ours.namespace, "tun1") as link, pair.pinging(NAME, "0.001") as pinging:
        yield
        reconnect(ours)
        until("all processes", lambda: len(ours.roles()) == 3)
        for role, pid in pids.items():
            check(role in but or ours.role(role) == pid, f"{role} is another one")
        for role in but:
            kill_role(ours, role)
        reconnect(ours)
        for peer in (ours, pair.theirs):
            one_of_each(peer, NAME)
    print(f"      {pinging.lost} of {pinging.sent} pings lost")
    pinging.check_no_loss()
    check(set(link.states()) <= {"UP"}, f"the link: {link.states()}")
    check_equal(ours.link("tun1")["ifindex"], index, "the device")
    check_equal(child_spis(ours, NAME), spis, "SPIs")
    check_equal({(o, i) for i, o in child_spis(pair.theirs, NAME)}, spis, "the peer's SPIs")
    check_equal(network(ours), before, "addresses, routes and rules")
    check(not os.path.exists("/tmp/owned"), "a file was made")


# ---- ike: system calls ----

def everybody(peer, but):
    pids = {role: pid for role, pid in peer.roles().items() if role != but}
    return {**pids, "the supervisor": peer.daemon.child.pid, "the first process": 1}


def secret_files(peer):
    return ("/etc/shadow", "/", "/proc/self/mem", "/proc/self/environ", "/proc/1/environ",
            f"/proc/{peer.daemon.child.pid}/mem", peer.path("ipsec.conf"), peer.path("ipsec.secrets"),
            peer.path("crash-secret"))


def connections(owned):
    """Of TCP sockets, which it may make to listen, and by those that it has."""
    tcp = owned.call("socket", socket.AF_INET, STREAM, 0)
    check(tcp >= 0, "a socket to listen on")
    low = struct.pack("=H", socket.AF_INET) + struct.pack("!H12x", 80)
    tries = [
        ("connect outside", "connect", (tcp, INET, 16)),
        ("connect to a local socket", "connect", (tcp, unix("/run/dbus/system_bus_socket"), 110)),
        ("connect by what is sent", "sendto", (tcp, b"x", 1, FASTOPEN, INET, 16)),
        ("connect by a message", "sendmsg", (tcp, bytes(56), FASTOPEN)),
        ("many messages", "sendmmsg", (tcp, bytes(64), 1, 0)),
        ("connect later", "setsockopt", (tcp, socket.IPPROTO_TCP, FASTOPEN_CONNECT, struct.pack("=i", 1), 4)),
        ("another protocol", "setsockopt", (tcp, socket.IPPROTO_TCP, TCP_ULP, b"tls", 3)),
        ("a device", "setsockopt", (tcp, 1, 25, b"eth0", 4)),
        ("a port below 1024", "bind", (tcp, low, 16), errno.EACCES, None),
    ]
    for fd in [fd for fd, kind in owner.socket_kinds(owned).items() if kind[1] == RAW and
               kind[0] in (socket.AF_INET, socket.AF_INET6)]:
        tries += [("send ICMP", "sendto", (fd, bytes(16), 16, 0, INET, 16)),
                  ("send ICMP, connected", "connect", (fd, INET, 16)),
                  ("another name for the raw socket", "dup2", (fd, 99)),
                  ("a copy of the raw socket", "fcntl", (fd, 0, 100))]
    return tries, tcp


def netlink(peer, owned):
    """Its netlink socket is for reading: the kernel refuses to change anything, and says so."""
    fds = [fd for fd, kind in owner.socket_kinds(owned).items() if kind[0] == socket.AF_NETLINK]
    check(fds, "no netlink socket in ike")
    index = peer.link("eth0")["ifindex"]
    attribute = struct.pack("=HH4s", 8, 1, socket.inet_aton("198.51.100.1"))
    bodies = ((RTM_NEWROUTE, struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 4, 0, 6, 0) + attribute),
              (RTM_NEWADDR, struct.pack("=BBBBI", 2, 32, 0, 0, index) + attribute),
              (RTM_NEWLINK, struct.pack("=BxHiII", 0, 0, index, 0, 1)))  # down
    for kind, body in bodies:
        request = struct.pack("=IHHII", 16 + len(body), kind, 0x405, 77, 0) + body
        check_equal(owned.call("sendto", fds[0], request, len(request), 0, 0, 0), len(request), "sent")
        answer = until("the kernel's answer", lambda: owned.receive(fds[0]))
        check_equal(struct.unpack_from("=IHHIIi", answer)[5], -errno.EPERM, f"netlink message {kind}")
    return len(bodies)


def calls_of_ike(pair):
    ours = pair.ours
    Second().step()  # the supervisor counts lines
    ike = Owner(ours, "ike")
    with unnoticed(pair, ("ike",)):
        mark = ours.log_mark()
        with ike.owned() as owned:
            memfd = next(fd for fd, name in descriptors(owned.pid).items() if "memfd:" in name)
            tries, tcp = connections(owned)
            n = ike.attack(
                owner.files(secret_files(ours)) + owner.programs(memfd)
                + owner.sockets((socket.AF_INET, DGRAM, 0), (socket.AF_INET6, DGRAM, 0), (socket.AF_INET, RAW, 1),
                                (socket.AF_PACKET, RAW, 0), (socket.AF_NETLINK, RAW, 0), (socket.AF_UNIX, STREAM, 0),
                                (socket.AF_UNIX, DGRAM, 0), (40, STREAM, 0), (38, STREAM, 0))
                + [("two sockets", "socketpair", (socket.AF_UNIX, STREAM, 0, bytes(8))),
                   ("memory with a name", "memfd_create", (text("owned"), 0)),
                   ("a file's status", "newfstatat", (HERE, text("/etc/passwd"), bytes(144), 0))]
                + tries + owner.memory(owned.room), owned)
            owned.call("close", tcp)
            n += netlink(ours, owned)
        kill_role(ours, "ike")
        line = ours.wait_log("refused socket (41) 0x11 0x3 0x0", mark)  # the values are told
        check(" error " in line or "error" in line, line)
        n += Owner(ours, "ike").attack(owner.processes(everybody(ours, "ike")) + owner.rights() + owner.surface())
    print(f"      {n} attempts")


def signals_of_ike(pair):
    """One who tries on and on does not fill the log, and stops nobody."""
    ike = Owner(pair.ours, "ike")
    with unnoticed(pair, ("ike",)):
        Second().step()
        mark = pair.ours.log_mark()
        with ike.owned() as owned:
            for _ in range(1500):
                check_equal(owned.call("kill", 1, 9), -errno.EPERM, "kill")
        line = pair.ours.wait_log("number 1000: only each thousandth is told", mark)
        check("refused kill (62) 0x1 0x9" in line, line)
        lines = pair.ours.log(mark).count("ike says: sandbox")
        check(100 <= lines <= 110, f"{lines} lines of 1500 refusals")


def silence(pair):
    """Who has the memory of a process has what it would tell of him, too. The kernel has its own record, which its
    filters ask for; where the kernel's log can be read, it is there."""
    ike = Owner(pair.ours, "ike")
    with unnoticed(pair, ("ike",)):
        with ike.owned() as owned:
            asked = owned.filter_flags()[-2:]
            owned.call("close", 2)
        check_equal([flags & FILTER_LOG for flags in asked], [FILTER_LOG] * 2, "filters that ask for a record")
        with open("/proc/sys/kernel/seccomp/actions_logged", encoding="ascii") as file:
            check("trap" in file.read().split(), "the kernel records no SECCOMP_RET_TRAP")
        mark = pair.ours.log_mark()
        record = open_record()
        if record is None:
            with ike.owned() as owned:
                check_equal(owned.call("ptrace", 16, 1, 0, 0), -errno.EPERM, "ptrace")
        else:
            try:
                # It lets through some of them: others are refused something meanwhile.
                until("the kernel's record of a refusal", lambda: recorded(ike, record), 30, 0.2)
            finally:
                os.close(record)
        check("refused ptrace" not in pair.ours.log(mark), "it was silenced")


def open_record():
    """The kernel's log from here on; None where it is not for us, as in some containers."""
    try:
        record = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    os.lseek(record, 0, os.SEEK_END)
    return record


def recorded(ike, record):
    with ike.owned() as owned:
        check_equal(owned.call("ptrace", 16, 1, 0, 0), -errno.EPERM, "ptrace")
    wanted = f" pid={owned.pid} ".encode()
    with suppress(BlockingIOError):  # no more
        while True:
            with suppress(BrokenPipeError):  # some were overwritten
                line = os.read(record, 8192)
                if b"type=1326" in line and wanted in line and b" syscall=101 " in line:
                    return True
    return False


# ---- ike: what it says to the others ----

class Second:
    """Refusals are told so many times a second."""

    def __init__(self):
        self.second, self.used = int(time.monotonic()), LINES_A_SECOND

    def step(self):
        until("the next second", lambda: int(time.monotonic()) > self.second or self.used < LINES_A_SECOND - 2,
              interval=0.01)
        if int(time.monotonic()) > self.second:
            self.second, self.used = int(time.monotonic()), 0
        self.used += 1


def links_of_ike(ours):
    roles = ours.roles()
    others = {"plane": roles["plane"], "helper": roles["helper"], "supervisor": ours.daemon.child.pid}
    return {name: common_links(ours.namespace, roles["ike"], pid)[0] for name, pid in others.items()}


def hostile(ours):
    return owner.requests(HOSTILE, "eth0", ours.link("eth0")["ifindex"], 1, OWN)


def words_of_ike(pair, to):
    """Well-formed messages that nobody may carry out."""
    ours, n = pair.ours, 0
    with unnoticed(pair, ("ike",)):
        fds, second = links_of_ike(ours), Second()
        for link, what, verb, n_fds, body, said in hostile(ours):
            if link != to:
                continue
            second.step()
            mark = ours.log_mark()
            with Owner(ours, "ike").owned() as owned:
                sent = owned.send(fds[link], framed(verb, body), [0] * n_fds)
                check_equal(sent, 16 + len(body), f"{what}: sent")
            if said:
                line = until(f"{link}, {what}: '{said}' in the log", lambda mark=mark, said=said: next(
                    (line for line in ours.log(mark).splitlines() if said in line), None))
                check(ours.log(mark).count(said) == 1, f"{what}: told more than once: {ours.log(mark)}")
                check("error" in line or "warn" in line or "not done for ike" in line, line)
            n += 1
        check(n > 5, f"{n} requests")
    print(f"      {n} requests")


def broken_words(pair):
    """What is no message ends the link, or who sent it; never who reads it."""
    ours = pair.ours
    long = framed(75, bytes(100_000))
    for to, data, n_fds, said in (
            ("plane", b"x" * 40, 0, "the link to ike is closed: it sent what is no message"),
            ("plane", long, 0, "the link to ike is closed: it sent what is no message"),
            ("plane", framed(75, b"")[:-1], 0, "the link to ike is closed"),
            ("plane", framed(75, b""), 6, "the link to ike is closed"),
            ("helper", b"x" * 40, 0, "the link to ike is closed: it sent what is no message"),
            ("supervisor", b"x" * 40, 0, "ike: its link is broken: it sent what is no message")):
        with unnoticed(pair, ("ike",)):
            mark, old = ours.log_mark(), ours.role("ike")
            fd = links_of_ike(ours)[to]
            with suppress(Ended), Owner(ours, "ike").owned() as owned:  # the supervisor is quick
                owned.send(fd, data, [0] * n_fds)
            ours.wait_log(said, mark)
            if to == "supervisor":
                ours.wait_log(f"ike (pid {old}) killed by SIGKILL", mark)


def many_words(pair):
    """They are refused as fast as they come, and not told as often."""
    ours = pair.ours
    Second().step()  # the lines of this one may be used up by the case before
    bad = {link: framed(verb, body) for link, what, verb, _, body, _ in hostile(ours)
           if what in ("a rule before all others", "a message of 4 GB", "what a supervisor says")}
    check_equal(sorted(bad), ["helper", "plane", "supervisor"], "samples")
    with unnoticed(pair, ("ike",)):
        mark, fds, begun = ours.log_mark(), links_of_ike(ours), time.monotonic()
        with Owner(ours, "ike").owned() as owned:
            for link, data in bad.items():
                for _ in range(1000):
                    check(owned.send(fds[link], data) in (len(data), -errno.EAGAIN), f"{link}: sent")
        for said in ("refused to ike: rule", "refused: the octets' length", "ike asks for 4 (1 bytes)"):
            ours.wait_log(said, mark)
            most = LINES_A_SECOND * (int(time.monotonic() - begun) + 2)
            lines = ours.log(mark).count(said)
            check(0 < lines <= most, f"'{said}': {lines} lines")


def many_rules(pair):
    """Each packet of this machine passes by them: there are a few, and the next ike takes them away."""
    ours = pair.ours
    Second().step()
    with unnoticed(pair, ("ike",)):
        mark, fds, begun = ours.log_mark(), links_of_ike(ours), time.monotonic()
        with Owner(ours, "ike").owned() as owned:
            for priority in range(1000, 1200):
                rule = struct.pack("=BBB16sxII", 1, socket.AF_INET, RTPROT_OURS, b"", 220, priority)
                sent = owned.send(fds["plane"], framed(IPC_RULE, rule))
                check(sent in (16 + len(rule), -errno.EAGAIN), f"rule {priority}: {sent}")
        ours.wait_log("there are as many of ours as there may be", mark)
        rules = [line for line in ours.namespace.ip("rule").splitlines() if "lookup 220" in line]
        check_equal(len(rules), RULES_MAX, "rules")
        most = LINES_A_SECOND * (int(time.monotonic() - begun) + 2)
        lines = ours.log(mark).count("there are as many of ours as there may be")
        check(0 < lines <= most, f"{lines} lines")


def words_of_others(pair):
    """What plane and helper may not ask of the supervisor."""
    ours, wrong = pair.ours, (("plane", "vault"), ("plane", "engine"), ("plane", "vici"), ("helper", "area"),
                              ("helper", "udp4-500"), ("helper", "engine"))
    with unnoticed(pair):
        for who, name in wrong:
            mark = ours.log_mark()
            with Owner(ours, who).owned() as owned:
                owned.send(SUPERVISOR_FD, framed(IPC_KEEP, name.encode().ljust(64, b"\0")), [0])
            ours.wait_log(f"{who} wants '{name}' kept, refused", mark)
        mark = ours.log_mark()
        with Owner(ours, "plane").owned() as owned:
            owned.send(SUPERVISOR_FD, framed(IPC_RUN, b"x"))
        ours.wait_log(f"plane asks for {IPC_RUN} (1 bytes), which it may not", mark)
        with Owner(ours, "helper").owned() as owned:
            owned.send(SUPERVISOR_FD, framed(IPC_RUN, b"x"))
        ours.wait_log("helper wants a script run, refused: the length", mark)


# ---- what it knows ----

def keys_of_ike(pair):
    """No secret of the files is in it, nor the memory in which they are; nor what it could use more of
    than it has."""
    ours = pair.ours
    roles, secret = ours.roles(), pair.end(NAME, ours).secret
    check_equal(memory_has(roles["helper"], [secret]), {secret}, "the secret in helper")
    for role in ("ike", "plane"):
        check_equal(memory_has(roles[role], [secret]), set(), f"the secret in {role}")
    names = descriptors(roles["ike"]).values()
    check(not [n for n in names if "vault" in n or "net/tun" in n or n.startswith("/")
               and not n.startswith(("/dev/null", "/memfd:", f"/proc/{roles['ike']}/stat"))], f"descriptors of ike: {sorted(names)}")
    with Owner(ours, "ike").owned() as owned:
        kinds = set(owner.socket_kinds(owned).values())
    check(kinds <= {(1, 1), (1, 5), (16, RAW), (2, RAW), (10, RAW)}, f"sockets of ike: {kinds}")


def keys_of_plane(pair):
    names = descriptors(pair.ours.role("plane")).values()
    check(not [n for n in names if "vault" in n or "engine" in n], f"descriptors of plane: {sorted(names)}")


# ---- plane and helper ----

def calls_of_plane(pair):
    """NET_ADMIN and NET_RAW, and nothing beyond the network. Which files there are the kernel says."""
    ours = pair.ours
    Second().step()  # the supervisor counts lines
    plane = Owner(ours, "plane")
    refused = [(f"read {path}", "openat", (HERE, text(path), os.O_RDONLY, 0), errno.EACCES, None)
               for path in ("/etc/shadow", "/etc/passwd", ours.path("ipsec.secrets"), "/",
                            f"/proc/{ours.role('ike')}/mem", f"/proc/{ours.daemon.child.pid}/environ")]
    refused.append(("a setting that is not the network's", "openat",
                    (HERE, text("/proc/sys/kernel/core_pattern"), os.O_WRONLY, 0), errno.EACCES, None))
    # With workers= it has threads, which the C library then makes by clone.
    refused.append(("clone3", "clone3", (bytes(88), 88), errno.ENOSYS, None))
    pids = {who: pid for who, pid in everybody(ours, "plane").items() if who != "the first process"}
    tries = ([t for t in owner.files(()) if t[0] != "a file's status"]
             + [t for t in owner.programs(3) if t[1] != "clone3"] + owner.processes(pids)
             + owner.sockets((socket.AF_PACKET, RAW, 0), (socket.AF_UNIX, STREAM, 0), (socket.AF_UNIX, 5, 0),
                             (socket.AF_INET, STREAM, 0), (socket.AF_INET6, STREAM, 0), (40, STREAM, 0),
                             (38, STREAM, 0))
             + [("connect by what is sent", "sendto", (0, b"x", 1, FASTOPEN, INET, 16)),
                ("connect by messages", "sendmmsg", (0, bytes(64), 1, FASTOPEN)),
                ("connect to a local socket", "connect", (3, unix("/run/dbus/system_bus_socket"), 110)),
                ("memory with a name", "memfd_create", (text("owned"), 0))]
             + owner.rights() + owner.surface())
    with unnoticed(pair):
        with plane.owned() as owned:
            page = owned.room
            plane.attack(refused, owned)
        with plane.owned() as owned:
            n = plane.attack(owner.memory(page) + tries, owned)
    print(f"      {n + len(refused)} attempts")


def calls_of_helper(pair):
    """It reads files: that is what it is for. It writes none, runs nothing, and is nobody on the network."""
    ours = pair.ours
    Second().step()  # the supervisor counts lines
    helper = Owner(ours, "helper")
    pids = {who: pid for who, pid in everybody(ours, "helper").items() if who != "the first process"}
    with unnoticed(pair, ("helper",)):
        with helper.owned() as owned:
            n = helper.attack(
                [(f"read {who}'s memory as a file", "openat", (HERE, text(f"/proc/{pid}/mem"), os.O_RDONLY, 0),
                  errno.EACCES, None) for who, pid in pids.items()]
                + [("end the supervisor", "kill", (pids["the supervisor"], 9), errno.EPERM, None),
                   ("a raw socket", "socket", (socket.AF_INET, RAW, 1), errno.EPERM, None)]
                + owner.files(()) + [t for t in owner.programs(3) if t[1] != "clone" or t[2][0] != 17]
                + owner.processes(pids)
                + owner.sockets((socket.AF_PACKET, RAW, 0), (socket.AF_UNIX, STREAM, 0), (socket.AF_UNIX, 5, 0),
                                (40, STREAM, 0))
                + owner.memory(owned.room) + owner.rights() + owner.surface(), owned)
    print(f"      {n} attempts")


def main():
    suite = Suite("owned")
    ends = tuple(change(end, secret=f"{NAME}-{secrets.token_hex(16)}") for end in tunnel(NAME, 1))
    secret = ends[0].secret
    ends = tuple(change(end, secret=secret) for end in ends)
    with OursWithOurs([ends], ipsecd_options=SPLIT) as pair:
        logs = (pair.ours,)
        pair.ours.namespace.address("eth0", OWN)
        pair.ours.namespace.route("default", "via", "172.16.2.1")
        pair.ours.initiate(NAME)
        pair.both_up(NAME)
        pair.ping(NAME)
        for name, function, *args in (
                ("system calls of ike", calls_of_ike), ("again and again", signals_of_ike),
                ("ike to plane", words_of_ike, "plane"), ("ike to helper", words_of_ike, "helper"),
                ("ike to the supervisor", words_of_ike, "supervisor"), ("what is no message", broken_words), ("many requests", many_words), ("many rules", many_rules), ("a report silenced", silence),
                ("plane and helper to the supervisor", words_of_others),
                ("system calls of plane", calls_of_plane), ("system calls of helper", calls_of_helper),
                ("secrets that ike does not have", keys_of_ike), ("nor plane", keys_of_plane)):
            suite.case(name, function, pair, *args, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
