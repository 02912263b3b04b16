"""Who has taken over one of ipsecd's processes (owned.py): what he tries, and what the log says of it.

An attempt is (what, call, arguments, errno); the errno is EPERM where the list of system calls refuses,
which has to be told. Another one is the kernel's own, which is not told by us: (..., errno, None)."""
import errno
import os
import re
import socket
import struct
from collections import Counter

from .owned import NUMBERS, Owned
from .poll import until
from .process import descriptors
from .suite import check, check_equal

HERE = -100  # AT_FDCWD
EMPTY = 0x1000  # AT_EMPTY_PATH
STREAM, DGRAM, RAW, FASTOPEN, DONTWAIT = 1, 2, 3, 0x20000000, 0x40
SOL_SOCKET, SO_TYPE, SO_DOMAIN, GETSOCKOPT = 1, 3, 39, "getsockopt"
READ, WRITE, RUN = 1, 2, 4
PRIVATE_MEMORY = 0x22
SIGSYS = 31
TO_TELL = 100  # refusals of one process that are all told
NUMBERS[GETSOCKOPT] = 55
OUTSIDE = struct.pack("!H4s8x", 80, socket.inet_aton("192.0.2.1"))
INET = struct.pack("=H", socket.AF_INET) + OUTSIDE


def text(string):
    return string.encode() + b"\0"


def unix(path):
    return struct.pack("=H", socket.AF_UNIX) + text(path)


# ---- what is tried ----

def files(paths):
    """None of them may be opened."""
    tries = [(f"read {path}", "openat", (HERE, text(path), os.O_RDONLY, 0)) for path in paths]
    return tries + [
        ("write a file", "openat", (HERE, text("/tmp/owned"), os.O_WRONLY | os.O_CREAT, 0o600)),
        ("openat2", "openat2", (HERE, text("/etc/passwd"), bytes(24), 24)),
        ("mkdir", "mkdir", (text("/tmp/owned"), 0o700)), ("unlink", "unlink", (text("/etc/passwd"),)),
        ("rename", "rename", (text("/etc/passwd"), text("/tmp/owned"))),
        ("symlink", "symlink", (text("/etc"), text("/tmp/owned"))),
        ("chmod", "chmod", (text("/etc/passwd"), 0o777)),
        ("chown", "chown", (text("/etc/passwd"), 0, 0)),
        ("handle of a file", "name_to_handle_at", (HERE, text("/"), bytes(64), bytes(8), 0)),
        ("open by handle", "open_by_handle_at", (HERE, bytes(64), os.O_RDONLY)),
    ]


def programs(memfd):
    none = bytes(8)
    return [
        ("run a program", "execve", (text("/bin/sh"), none, none)),
        ("run a program from memory", "execveat", (memfd, text(""), none, none, EMPTY)),
        ("a process", "clone", (17, 0, 0, 0, 0)), ("fork", "fork", ()), ("vfork", "vfork", ()),
        ("a thread in other namespaces", "clone", (0x10000000 | 17, 0, 0, 0, 0)),
        ("clone3", "clone3", (bytes(88), 88)),
    ]


def processes(pids):
    """Others, and the supervisor, and the first."""
    vector = struct.pack("=QQ", 0, 8)
    tries = []
    for who, pid in pids.items():
        tries += [(f"trace {who}", "ptrace", (16, pid, 0, 0)),
                  (f"read {who}'s memory", "process_vm_readv", (pid, vector, 1, vector, 1, 0)),
                  (f"kill {who}", "kill", (pid, 15)),
                  (f"a descriptor of {who}", "pidfd_open", (pid, 0))]
    some = next(iter(pids.values()))
    return tries + [
        ("write another's memory", "process_vm_writev", (some, vector, 1, vector, 1, 0)),
        ("a signal to a thread", "tkill", (some, 15)), ("a signal to a thread of it", "tgkill", (some, some, 15)),
        ("all processes", "kill", (-1, 15)), ("its descriptors", "pidfd_getfd", (0, 0, 0)),
        ("its limits", "prlimit64", (some, 7, bytes(16), 0)), ("be traced", "ptrace", (0, 0, 0, 0)),
    ]


def memory(page):
    return [
        ("memory to run", "mmap", (0, 4096, READ | WRITE | RUN, PRIVATE_MEMORY, -1, 0)),
        ("data to run", "mprotect", (page, 4096, READ | RUN)),
        ("data to run, by a key", "pkey_mprotect", (page, 4096, READ | RUN, -1)),
        ("all that is read to run", "personality", (0x0400000,)),
        ("secret memory", "memfd_secret", (0,)),
    ]


def rights():
    return [
        ("root", "setuid", (0,)), ("root in all ways", "setresuid", (0, 0, 0)),
        ("groups", "setgroups", (0, 0)),
        ("capabilities", "capset", (struct.pack("=II", 0x20080522, 0), b"\xff" * 24)),
        ("namespaces", "unshare", (0x10000000,)), ("another's namespace", "setns", (0, 0)),
        ("mount", "mount", (text("none"), text("/"), text("tmpfs"), 0, 0)),
        ("a tree", "open_tree", (HERE, text("/"), 1)), ("a file system", "fsopen", (text("tmpfs"), 0)),
        ("move a mount", "move_mount", (0, text(""), 0, text(""), 0)), ("chroot", "chroot", (text("."),)),
        ("be read by others", "prctl", (4, 1, 0, 0, 0)), ("another filter", "seccomp", (0, 0, 0)),
        ("no more refusals", "rt_sigaction", (SIGSYS, bytes(32), 0, 8)),
        ("other rules of files", "landlock_restrict_self", (0, 0)),
    ]


def surface():
    return [
        ("BPF", "bpf", (0, bytes(64), 64)), ("events", "perf_event_open", (bytes(128), 0, 0, -1, 0)),
        ("keys", "keyctl", (0, -3, 0, 0, 0)), ("a key", "add_key", (text("user"), text("a"), text("b"), 1, -2)),
        ("io_uring", "io_uring_setup", (1, bytes(120))), ("io_setup", "io_setup", (1, bytes(8))),
        ("page faults", "userfaultfd", (0,)), ("a module", "finit_module", (0, text(""), 0)),
        ("reboot", "reboot", (0, 0, 0, 0)), ("shared memory", "shmget", (0, 4096, 0o1600)),
    ]


def sockets(*kinds):
    return [(f"a socket of family {family}, kind {kind}", "socket", (family, kind, protocol))
            for family, kind, protocol in kinds]


# ---- trying it ----

class Owner:
    """Of a process of a peer's; `word` is the process's in the log."""

    def __init__(self, peer, word):
        self.peer, self.word = peer, word
        self.refusals = 0

    def pid(self):
        return self.peer.role(self.word)

    def owned(self):
        return Owned(self.pid())

    def _told(self, mark):
        line = re.compile(rf"{self.word} says: sandbox: refused (\w+) \(\d+\)")
        return Counter(line.findall(self.peer.log(mark)))

    def attack(self, tries, owned=None):
        """Each is refused as it should be, and each that the list refuses is told, once."""
        mark, wanted = self.peer.log_mark(), Counter()
        if owned is None:
            with self.owned() as owned:
                return self.attack(tries, owned)
        for what, call, arguments, *other in tries:
            number = other[0] if other else errno.EPERM
            got = owned.call(call, *arguments)
            check_equal(errno.errorcode.get(-got, got), errno.errorcode[number],
                        f"{self.word}: {what} ({call})")
            if len(other) < 2:
                wanted[call] += 1
        self.refusals += sum(wanted.values())
        check(self.refusals < TO_TELL, f"{self.refusals} attempts of one process: not all are told")
        until(f"{self.word}: the log has {sum(wanted.values())} refusals",
              lambda: sum(self._told(mark).values()) >= sum(wanted.values()))
        check_equal(self._told(mark), wanted, f"{self.word}: lines of the log")
        return len(tries)


def socket_kinds(owned):
    """(family, kind) of each descriptor that is a socket, asked by the process itself."""
    found = {}
    for fd, name in descriptors(owned.pid).items():
        if name.startswith("socket:["):
            values = []
            for option in (SO_DOMAIN, SO_TYPE):
                out, size = owned.put(bytes(4)), owned.put(struct.pack("=I", 4))
                check_equal(owned.call(GETSOCKOPT, fd, SOL_SOCKET, option, out, size), 0, "getsockopt")
                values.append(struct.unpack("=i", owned.peek(out))[0])
            found[fd] = tuple(values)
    return found


# ---- what others in ipsecd are told ----

MAGIC = 0x44544F52
HEADER = struct.Struct("=IIII")


def framed(verb, body, serial=0):
    return HEADER.pack(MAGIC, verb & 0xFFFFFFFF, serial, len(body)) + body


def requests(binary, *words):
    """hostile_ike.c's: (link, what, verb, descriptors, body, words of the log)."""
    from .netns import run  # pylint: disable=import-outside-toplevel
    for line in run(binary, *(str(word) for word in words)).splitlines():
        link, what, verb, fds, body, said = line.split("|")
        yield link, what, int(verb), int(fds), bytes.fromhex(body), said
