"""Runs a command in a kernel of its own that has the host's files as its root: what
tests/kernel/uml and tests/kernel/qemu share. The command's output comes out live, its exit
status is ours; 124 when it took too long, 125 when the kernel did not boot or crashed."""
import argparse
import fcntl
import glob
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOO_LONG, NO_KERNEL = 124, 125
JOB = "detour-kernel-"
LOCKS = "/run/detour-kernel"  # of all source trees on the machine

# What the kernel plane, its peers and the tests use. A kernel's request for a module by itself
# works, too; these make a missing one visible.
MODULES = """af_key ah4 ah6 authenc cbc chacha20poly1305 ctr dummy echainiv esp4 esp6 gcm ip_vti
    ip6_vti ipcomp nf_tables seqiv sch_netem tun veth vrf xfrm_user""".split()


class Stopped(Exception):
    pass


def _stop(number, _frame):
    raise Stopped(number)


def _before_others():
    """The scheduler weighs sessions first, then what is in them."""
    os.nice(-15)
    try:
        with open("/proc/self/autogroup", "w") as group:
            group.write("-15")
    except OSError:
        pass  # a kernel without


def _own_processor():
    """A processor that no other run has taken, held until this process ends; with more runs than
    processors, any. Gives it, and the lock."""
    processors = sorted(os.sched_getaffinity(0), reverse=True)
    os.makedirs(LOCKS, exist_ok=True)
    for processor in processors:
        lock = open(os.path.join(LOCKS, f"processor-{processor}"), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return processor, lock
        except BlockingIOError:
            lock.close()
    return processors[os.getpid() % len(processors)], None


def remove_stale():
    """Folders of runners that were killed; their kernels have ended with them."""
    for folder in glob.glob(f"{tempfile.gettempdir()}/{JOB}*-*"):
        if not os.path.exists(f"/proc/{os.path.basename(folder)[len(JOB):].split('-')[0]}"):
            shutil.rmtree(folder, ignore_errors=True)


class Machine:
    """One boot. `name` is said in messages; tests multiply their deadlines by `slowness`."""

    def __init__(self, name, tty, slowness, modules_from, modules, one_processor=False):
        self.name, self.tty, self.slowness = name, tty, slowness
        self.one_processor = one_processor
        self.modules_from, self.modules = modules_from, modules
        self.args = None
        self.job = None
        self.processor, self.lock = None, None
        self.console = b""

    def options(self):
        parser = argparse.ArgumentParser(prog=f"tests/kernel/{self.name}", description=__doc__)
        parser.add_argument("--mem", default="1024M", help="memory (1024M)")
        parser.add_argument("--timeout", type=float, default=600, metavar="S",
                            help="seconds after which the kernel is ended (600)")
        parser.add_argument("--first", action="store_true",
                            help="before other work on a busy machine: for measuring")
        parser.add_argument("--console", action="store_true",
                            help="show the kernel's messages on stderr")
        parser.add_argument("command", nargs="+", metavar="COMMAND")
        return parser.parse_args()

    # ---- what goes in

    def _write(self, name, text, mode=0o644):
        path = os.path.join(self.job, name)
        with open(path, "w") as out:
            out.write(text)
        os.chmod(path, mode)

    def _prepare(self):
        settings = {"name": self.name, "tty": self.tty, "keep": TOP,
                    "modules_from": self.modules_from, "modules": " ".join(self.modules)}
        self._write("settings", "".join(f"{k}={shlex.quote(v)}\n" for k, v in settings.items()))
        outer = {**os.environ, "TEST_SLOWNESS": str(self.slowness)}
        environment = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in outer.items()
                              if k.isidentifier() and k not in ("PWD", "OLDPWD", "SHLVL", "_"))
        # The host's TMPDIR may be hidden or read-only inside; /tmp never is.
        environment += '[ -d "${TMPDIR-}" ] && [ -w "$TMPDIR" ] || unset TMPDIR\n'
        self._write("command", f"cd {shlex.quote(os.getcwd())} || exit 127\n{environment}"
                               f"exec {shlex.join(self.args.command)}\n")
        with open(os.path.join(TOP, "tests/kernel/init")) as init:
            self._write("init", init.read(), 0o755)

    # ---- the run

    def _start(self, argv, env, descriptors):
        """In a process namespace of its own, whose end takes all with it; and that ends
        with us. A shell is its process 1: a kernel process could not be, it aborts."""
        shell = ["sh", "-c", '"$@"; exit $?', "sh"]
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork",
             "--kill-child=KILL"] + shell + argv,
            stdin=subprocess.DEVNULL, stdout=descriptors[1], stderr=descriptors[1], env=env,
            pass_fds=descriptors, start_new_session=True, preexec_fn=self._scheduling)

    def _scheduling(self):
        if self.processor is not None:
            os.sched_setaffinity(0, {self.processor})
        if self.args.first:
            _before_others()

    def _pump(self, output, console, deadline):
        """Passes the command's output on until the kernel is gone. False: too late."""
        selector = selectors.DefaultSelector()
        selector.register(output, selectors.EVENT_READ)
        selector.register(console, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(left):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fd == output:
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
                else:
                    self._console(data)
        return True

    def _console(self, data):
        self.console = (self.console + data)[-20000:]
        if self.args.console:
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()

    def say(self, text):
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)

    def _result(self, start, in_time):
        """What the kernel left in the job's folder decides, not how it ended."""
        end = time.time()
        booted = os.path.join(self.job, "booted")
        if os.path.exists(booted):
            boot = os.stat(booted).st_mtime - start
            self.say(f"booted in {boot:.1f} s, ran for {end - start - boot:.1f} s")
        try:
            with open(os.path.join(self.job, "status")) as source:
                return int(source.read())
        except (FileNotFoundError, ValueError):
            pass
        lines = self.console.decode(errors="replace").replace("\r", "").splitlines()
        print("\n".join(f"{self.name}| {line}" for line in lines[-25:]), file=sys.stderr)
        what = "the kernel crashed" if os.path.exists(booted) else "the kernel did not boot"
        self.say(what if in_time else f"not done within {self.args.timeout:g} s")
        return NO_KERNEL if in_time else TOO_LONG

    def _run(self, argv, env):
        start = time.time()
        out_read, out_write = os.pipe()
        con_read, con_write = os.pipe()
        process = self._start(argv(self, out_write, con_write), env, (out_write, con_write))
        os.close(out_write)
        os.close(con_write)
        try:
            in_time = self._pump(out_read, con_read, time.monotonic() + self.args.timeout)
        finally:
            process.kill()
            process.wait()
        return self._result(start, in_time)

    def main(self, argv, env):
        self.args = self.options()
        if os.geteuid() != 0:
            self.say("needs root")
            return NO_KERNEL
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
        remove_stale()
        if self.one_processor:
            self.processor, self.lock = _own_processor()
        self.job = tempfile.mkdtemp(prefix=f"{JOB}{os.getpid()}-")
        try:
            self._prepare()
            return self._run(argv, env(self) if callable(env) else env)
        except Stopped as stopped:
            self.say(f"stopped by {signal.Signals(stopped.args[0]).name}")
            return 128 + stopped.args[0]
        finally:
            shutil.rmtree(self.job, ignore_errors=True)
