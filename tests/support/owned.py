"""A running process that somebody has taken over, who has code in it: it executes system calls of our
choice, as they would. What judges them is what it has itself: its filter, user, capabilities, root.

The code is put where the program began (ELF's entry, which it never executes again): `syscall; int3`.
Registers and memory are put right behind each block. x86-64 alone."""
import ctypes
import errno
import os
import platform
import signal
import struct
from contextlib import suppress

from .poll import until

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
CONT, GETREGS, SETREGS, DETACH, SEIZE, INTERRUPT = 7, 12, 13, 17, 0x4206, 0x4207
SECCOMP_GET_METADATA = 0x420d
WALL = 0x40000000
AT_ENTRY = 9
CODE = b"\x0f\x05\xcc"
RED_ZONE = 1024  # of the stack, and more
ROOM = 1 << 20  # for what arguments point to
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
             "fs_base gs_base ds es fs gs").split()
ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
NUMBERS = {
    "read": 0, "write": 1, "open": 2, "close": 3, "mmap": 9, "mprotect": 10, "munmap": 11,
    "rt_sigaction": 13, "ioctl": 16, "dup": 32, "dup2": 33, "sendfile": 40, "socket": 41, "connect": 42,
    "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "bind": 49, "listen": 50,
    "getsockname": 51, "socketpair": 53, "setsockopt": 54, "clone": 56, "fork": 57, "vfork": 58,
    "execve": 59, "kill": 62, "shmget": 29, "fcntl": 72, "rename": 82, "mkdir": 83, "unlink": 87,
    "symlink": 88, "chmod": 90, "chown": 92, "ptrace": 101, "setuid": 105, "setgroups": 116,
    "setresuid": 117, "capset": 126, "personality": 135, "prctl": 157, "chroot": 161, "mount": 165,
    "reboot": 169, "init_module": 175, "tkill": 200, "io_setup": 206, "epoll_wait": 232, "tgkill": 234,
    "add_key": 248, "request_key": 249, "keyctl": 250, "openat": 257, "newfstatat": 262, "unshare": 272,
    "splice": 275, "epoll_pwait": 281, "perf_event_open": 298, "prlimit64": 302,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308, "sendmmsg": 307,
    "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313, "seccomp": 317,
    "memfd_create": 319, "bpf": 321, "execveat": 322, "userfaultfd": 323, "pkey_mprotect": 329,
    "io_uring_setup": 425, "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "pidfd_open": 434, "clone3": 435, "openat2": 437, "pidfd_getfd": 438,
    "epoll_pwait2": 441, "process_madvise": 440, "mount_setattr": 442, "landlock_restrict_self": 446,
    "memfd_secret": 447,
}
WAITING = [NUMBERS[name] for name in ("epoll_wait", "epoll_pwait", "epoll_pwait2")]


class Ended(AssertionError):
    """The process is no more."""


class Pointer:
    """Where bytes lie in the process, for what points to them in turn."""

    def __init__(self, address, size):
        self.address, self.size = address, size


class Owned:
    """Use as a `with` block: the process stands still in it, and goes on behind it where it was."""

    def __init__(self, pid):
        if platform.machine() != "x86_64":
            raise AssertionError("taking a process over is for x86-64 alone")
        self.pid = pid
        self.saved = self.memory = self.code = self.room = None
        self.used = 0
        self.ended = False  # while it was owned

    # -- ptrace

    def _ptrace(self, request, data=None, address=None):
        ctypes.set_errno(0)
        if LIBC.ptrace(request, self.pid, address, data) < 0 and ctypes.get_errno():
            error = ctypes.get_errno()
            if error == errno.ESRCH:
                self._reap()
            raise OSError(error, f"ptrace {request:#x} of {self.pid}: {os.strerror(error)}")

    def _reap(self):
        """Its parent is told of its end when we have been."""
        with suppress(ChildProcessError):
            while os.WIFSTOPPED(os.waitpid(self.pid, WALL)[1]):
                pass
        raise Ended(f"process {self.pid} ended")

    def _wait(self):
        _, status = os.waitpid(self.pid, WALL)
        if not os.WIFSTOPPED(status):
            raise Ended(f"process {self.pid} ended: {status:#x}")
        return os.WSTOPSIG(status)

    def _registers(self):
        raw = (ctypes.c_ulong * len(REGISTERS))()
        self._ptrace(GETREGS, ctypes.cast(raw, ctypes.c_void_p))
        return dict(zip(REGISTERS, raw))

    def _set_registers(self, registers):
        raw = (ctypes.c_ulong * len(REGISTERS))(*(registers[name] for name in REGISTERS))
        self._ptrace(SETREGS, ctypes.cast(raw, ctypes.c_void_p))

    def filter_flags(self):
        """Of each of its system call filters, the oldest first: with what it was loaded."""
        flags = []
        while True:
            about = (ctypes.c_uint64 * 2)(len(flags), 0)
            try:
                self._ptrace(SECCOMP_GET_METADATA, ctypes.cast(about, ctypes.c_void_p), ctypes.sizeof(about))
            except OSError as why:
                if why.errno == errno.ENOENT:
                    return flags
                raise
            flags.append(about[1])

    def _stop_while_it_waits(self):
        """In the middle of something its links would be mixed up."""
        self._ptrace(INTERRUPT)
        self._wait()
        self.saved = self._registers()
        if self.saved["orig_rax"] in WAITING:
            return True
        self._ptrace(CONT)
        return False

    # -- life

    def _entry(self):
        with open(f"/proc/{self.pid}/auxv", "rb") as file:
            pairs = dict(struct.iter_unpack("=QQ", file.read()))
        return pairs[AT_ENTRY]

    def __enter__(self):
        self._ptrace(SEIZE)
        until("its loop waits", self._stop_while_it_waits)
        self.memory = open(f"/proc/{self.pid}/mem", "r+b", buffering=0)
        entry = self._entry()
        self.code = (entry, self._peek(entry, len(CODE)))
        self._poke(entry, CODE)
        self.room = self.call("mmap", 0, ROOM, 3, 0x22, -1, 0)
        if self.room < 0:
            raise OSError(-self.room, "memory in there")
        return self

    def __exit__(self, kind, *_exception):
        try:
            if kind is not Ended:
                self._leave()
        except Ended:
            self.ended = True
        finally:
            self.memory.close()

    def _leave(self):
        self.call("munmap", self.room, ROOM)
        self._poke(*self.code)
        self._set_registers(self.saved)
        self._ptrace(DETACH)

    # -- memory

    def _peek(self, address, size):
        return os.pread(self.memory.fileno(), size, address)

    def _poke(self, address, data):
        if os.pwrite(self.memory.fileno(), data, address) != len(data):
            self._registers()  # of one that has ended it has no memory, either
            raise AssertionError(f"{len(data)} bytes at {address:#x} of {self.pid}")

    def put(self, data):
        """Bytes in there, until the next call has returned."""
        if self.used + len(data) > ROOM:
            raise AssertionError("no room")
        at = self.room + self.used
        self._poke(at, bytes(data))
        self.used += (len(data) + 15) & ~15
        return Pointer(at, len(data))

    def peek(self, pointer):
        """What is there now."""
        return self._peek(pointer.address, pointer.size)

    # -- calls

    def _run(self):
        self._ptrace(CONT)
        while True:
            number = self._wait()
            if number == signal.SIGTRAP:
                break
            if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL):
                raise AssertionError(f"process {self.pid} got signal {number}")
            self._ptrace(CONT, number)  # SIGSYS, which its handler takes
        registers = self._registers()
        if registers["rip"] != self.code[0] + len(CODE):
            raise AssertionError(f"process {self.pid} is somewhere else: {registers['rip']:#x}")
        return registers["rax"]

    def call(self, name, *arguments):
        """The result: negative, it is an errno. `bytes` are put there, and their address passed."""
        values = []
        for argument in arguments:
            if isinstance(argument, (bytes, bytearray)):
                argument = self.put(argument)
            values.append((argument.address if isinstance(argument, Pointer) else argument) % (1 << 64))
        registers = dict(self.saved, rip=self.code[0], rax=NUMBERS[name], orig_rax=(1 << 64) - 1,
                         rsp=(self.saved["rsp"] - RED_ZONE) & ~15)
        registers.update(zip(ARGUMENTS, values))
        self._set_registers(registers)
        result = self._run()
        self.used = 0
        return result - (1 << 64) if result >> 63 else result

    # -- messages

    def _message(self, data, fds):
        control = b""
        if fds:
            control = struct.pack(f"=QII{len(fds)}i", 16 + 4 * len(fds), 1, 1, *fds)
            control += bytes(-len(control) % 8)
        part = self.put(data)
        vector = self.put(struct.pack("=QQ", part.address, part.size))
        where = self.put(control) if control else Pointer(0, 0)
        return self.put(struct.pack("=QIxxxxQQQQIxxxx", 0, 0, vector.address, 1, where.address, len(control), 0))

    def send(self, fd, data, fds=()):
        """By a socket of its own, perhaps with descriptors of its own."""
        return self.call("sendmsg", fd, self._message(data, fds), 0x4040)

    def receive(self, fd, size=1 << 17):
        """A message that is there, or None. Descriptors with it are closed."""
        room = self.put(bytes(size))
        got = self.call("recvfrom", fd, room, size, 0x40, 0, 0)
        return self._peek(room.address, got) if got > 0 else None
