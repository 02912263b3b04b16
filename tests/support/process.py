"""Daemons that tests start: output in a file, stopped by pid, never left behind."""
import ctypes
import os
import re
import signal
import socket
import subprocess
from contextlib import suppress

from .poll import until

SYS_PIDFD_GETFD = 438


def children(pid):
    """Process ids; none of one that is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def title(pid):
    """Its command line, which a process may have written over; "" of one that is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().rstrip(b"\0").decode()
    except OSError:
        return ""


def descriptors(pid):
    """What it has open: by number, as the kernel names it. What it closes meanwhile is not among them."""
    names = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            names[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return names


def sockets(pid):
    """{inode: descriptor} of its sockets."""
    return {link[len("socket:["):-1]: fd for fd, link in descriptors(pid).items()
            if link.startswith("socket:[")}


def common_links(namespace, one, other):
    """Descriptors of `one` that are sockets to the other."""
    ours, theirs = sockets(one), sockets(other)
    shown = subprocess.run(namespace.argv("ss", "-xanH"), check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    return [ours[words[5]] for words in map(str.split, shown.splitlines())
            if words[5] in ours and words[7] in theirs]


def break_links(namespace, one, other):
    """Shuts down each pair of unix sockets that two processes have in common. How many."""
    found = common_links(namespace, one, other)
    for number in found:
        process = os.pidfd_open(one)
        fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, process, number, 0)
        os.close(process)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        with socket.socket(fileno=fd) as copy:
            copy.shutdown(socket.SHUT_RDWR)
    return len(found)


def memory_has(pid, words):
    """Which of these are anywhere in the memory of the process."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not area or "[v" in line:
                continue
            start, end = (int(n, 16) for n in area.groups())
            mem.seek(start)
            try:
                data = mem.read(end - start)
            except OSError:
                continue
            found |= {w for w in words if w.encode() in data}
    return found


class Daemon:
    """One process. Its stdout and stderr go to `log_path`, read back by log()."""

    def __init__(self, name, argv, log_path, env=None, pass_fds=()):
        self.name = name
        self.log_path = log_path
        self.log_file = open(log_path, "ab")
        self.child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.log_file,
            stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, pass_fds=pass_fds)

    @classmethod
    def of(cls, name, child, log_path):
        """One that somebody else started."""
        daemon = cls.__new__(cls)
        daemon.name, daemon.child, daemon.log_path = name, child, log_path
        daemon.log_file = open(log_path, "ab")
        return daemon

    def running(self):
        return self.child.poll() is None

    def log(self, since=0):
        with open(self.log_path, "rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def log_mark(self):
        """A place in the log, for log(since=...)."""
        return os.path.getsize(self.log_path)

    def wait_log(self, text, since=0, timeout=10.0):
        def seen():
            for line in self.log(since).splitlines():
                if text in line:
                    return line
            return None
        return until(f"'{text}' in the log of {self.name}", seen, timeout)

    def kill(self, sig=signal.SIGKILL):
        if self.running():
            self.child.send_signal(sig)

    def stop(self, timeout=5.0):
        """TERM, and KILL if that is not obeyed in time. Returns the exit status."""
        self.kill(signal.SIGTERM)
        try:
            self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.child.wait()
        self.log_file.close()
        return self.child.returncode
