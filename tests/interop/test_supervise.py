#!/usr/bin/env python3
"""The supervisor, with roles that do what they are told (tests/support/fake_roles.c): what dies is
started again, what ends leaves nothing behind, and what is kept goes from one program to the next."""
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.support import netns  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import Daemon, children, descriptors, title  # noqa: E402
from tests.support.service_manager import ServiceManager  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("BIN", os.path.join(ROOT, "build/bin"))
BINARY = os.path.join(BIN, "supervise-test")
OWN = os.path.join(BIN, "ipsecd")  # with roles of its own
CTL = os.path.join(BIN, "ipsecctl")
ROLES = ("plane", "ike", "helper")
STATES = {"plane": "area", "ike": "engine", "helper": "vault"}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Supervisor:
    """One ipsecd --split in a folder of its own."""

    def __init__(self, folder, *options, env=None, name="log"):
        self.folder = folder
        self.vici = os.path.join(folder, "vici")
        self.conf = os.path.join(folder, "ipsec.conf")
        if not os.path.exists(self.conf):
            self.configure("")
        self.daemon = Daemon("supervise-test", self.argv(*options), os.path.join(folder, name),
                             env)
        self.pid = self.daemon.child.pid

    def configure(self, text):
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(text)

    def argv(self, *options):
        return [BINARY, "--split", "--foreground", "--vici", self.vici, "--config", self.conf,
                "--crash-secret", f"{self.conf}.secret", "--log-level", "debug", *options]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_exception):
        if kind and kind is not SystemExit:
            print("\n".join(f"      | {line}" for line in self.daemon.log().splitlines()[-40:]))
        self.daemon.stop()

    def running(self):
        self.daemon.wait_log(" runs: plane")
        return self

    def role(self, name):
        """The pid of the process that has the role, 0: none."""
        found = [pid for pid in children(self.pid) if title(pid) == f"ipsecd: {name}"]
        return found[0] if len(found) == 1 else 0

    def roles(self):
        return {name: self.role(name) for name in ROLES}

    def options(self):
        """Of the supervisor's command line: {name: values}."""
        with open(f"/proc/{self.pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").decode().split("\0")[1:]
        options = {}
        for word in words:
            if word.startswith("--"):
                name = word
            options.setdefault(name, []).extend([] if word == name else [word])
        return options

    def signal_role(self, name, sig):
        """The pid of whom it was sent to. Never 0, which would be our own process group."""
        pid = until(f"the {name}", lambda: self.role(name))
        os.kill(pid, sig)
        return pid

    def kill_role(self, name, sig=signal.SIGKILL):
        """Returns when the next one works."""
        mark = self.daemon.log_mark()
        old = self.signal_role(name, sig)
        self.wait(f"{name}] state", mark)
        until(f"a new {name}", lambda: self.role(name) not in (0, old))
        return mark

    def wait(self, text, since=0, timeout=10.0):
        return self.daemon.wait_log(text, since, timeout)

    def ctl(self, *words):
        done = subprocess.run([CTL, "--vici", self.vici, *words], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout

    def end(self, sig=signal.SIGTERM):
        pids = children(self.pid)
        self.daemon.kill(sig)
        status = self.daemon.child.wait(30)
        until("no process is left", lambda: not any(title(pid) for pid in pids))
        return status


def in_folder(case):
    def run():
        folder = tempfile.mkdtemp(prefix="interop-supervise-")
        try:
            case(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return run


# ---- life ----

@in_folder
def starts_and_ends(folder):
    with Supervisor(folder) as s:
        s.running()
        check(all(s.roles().values()), f"not all run: {s.roles()}")
        for name in ROLES:
            with open(f"/proc/{s.role(name)}/comm", encoding="ascii") as file:
                check_equal(file.read().strip(), f"ipsecd: {name}", "comm")
        for text in ("hello from ike", "hello from plane", "hello from helper", "vici is there",
                     "restarts 0 0 0, upgrades 0"):
            s.wait(text)
        check_equal(s.end(), 0, "exit status")
        log = s.daemon.log()
        check_equal(log.count("stop for good"), 3, "processes that were told to stop")
        check(log.index("ike] stop") < log.index("plane] stop"), "ike ends first")
        check_equal([n for n in os.listdir(folder) if n.startswith("vici")], [], "files left")


@in_folder
def reloads(folder):
    with Supervisor(folder) as s:
        s.running()
        s.daemon.kill(signal.SIGHUP)
        s.wait("ike] reload")
        check_equal(s.end(signal.SIGINT), 0, "exit status")


@in_folder
def foreign_signals_are_ignored(folder):
    """Whose default is the end: a log at its limit, and orders that are meant for FRR."""
    with Supervisor(folder) as s:
        s.running()
        pids = [s.pid, *(s.role(name) for name in ROLES)]
        for sig in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXFSZ, signal.SIGPIPE):
            for pid in pids:
                os.kill(pid, sig)
        s.daemon.kill(signal.SIGHUP)
        s.wait("ike] reload")
        check_equal([s.role(name) for name in ROLES], pids[1:], "processes")
        check_equal(s.end(), 0, "exit status")


@in_folder
def second_signal_ends_at_once(folder):
    with Supervisor(folder, env={"FAKE_IKE": "deaf"}) as s:
        s.running()
        s.daemon.kill(signal.SIGTERM)
        s.wait("ike] stop")
        check(s.daemon.running(), "it did not wait for ike")
        check_equal(s.end(), 0, "exit status")
        check("does not end" not in s.daemon.log(), "the second signal was not waited for")


@in_folder
def death_of_the_supervisor(folder):
    with Supervisor(folder) as s:
        s.running()
        check_equal(s.end(signal.SIGKILL), -signal.SIGKILL, "exit status")
        with Supervisor(folder, name="log2") as again:
            again.running()
            check_equal(again.end(), 0, "exit status of the next one")


# ---- deaths ----

@in_folder
def the_dead_come_back(folder):
    with Supervisor(folder, "--restart-pause", "0") as s:
        s.running()
        for n, name in enumerate(ROLES * 2):
            others = {k: v for k, v in s.roles().items() if k != name}
            mark = s.kill_role(name)
            s.wait(f"{name} (pid ", mark)
            s.wait("killed by SIGKILL; last: ", mark)
            s.wait("starting it again at once", mark)
            s.wait(f"is {n // 3 + 1}", mark)  # works on with the same state
            if name != "ike":
                s.wait(f"ike] hello from {name} {s.role(name)}", mark)
            else:
                s.wait(f"plane] hello from ike {s.role(name)}", mark)
                s.wait(f"helper] hello from ike {s.role(name)}", mark)
            check_equal({k: v for k, v in s.roles().items() if k != name}, others,
                        "the others")
        s.wait("restarts 2 2 2, upgrades 0")
        s.wait("plane] was given tun:fake.0")
        check_equal(s.end(), 0, "exit status")


def fds_of(pid):
    return sorted(name.split(":")[0] for name in descriptors(pid).values())


@in_folder
def restarts_leak_nothing(folder):
    with Supervisor(folder, "--restart-pause", "0") as s:
        s.running()
        for name in ROLES:
            s.kill_role(name)
        until("all are there", lambda: all(s.roles().values()))
        before = fds_of(s.pid)
        for i in range(51):
            s.kill_role(ROLES[i % len(ROLES)])
        until("no descriptor more than before", lambda: fds_of(s.pid) == before)


def cpu_seconds(pid):
    return sum(int(n) for n in read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


@in_folder
def short_of_descriptors(folder):
    """Who can't be accepted waits in the queue, is looked at once a second, and is answered in the end."""
    with Supervisor(folder) as s:
        s.running()
        soft, hard = resource.prlimit(s.pid, resource.RLIMIT_NOFILE)
        mark, begun, used = s.daemon.log_mark(), time.monotonic(), cpu_seconds(s.pid)
        held = {int(fd) for fd in os.listdir(f"/proc/{s.pid}/fd")}
        resource.prlimit(s.pid, resource.RLIMIT_NOFILE, (min(set(range(len(held) + 1)) - held), hard))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as who:
            who.settimeout(20)
            who.connect(f"{s.vici}.supervisor")
            who.send(b"what")
            refused = "can't accept who asks the supervisor: Too many open files"
            until("a second attempt", lambda: s.daemon.log(mark).count(refused) > 1)
            check(s.daemon.log(mark).count(refused) <= time.monotonic() - begun + 1, "attempts")
            check(cpu_seconds(s.pid) - used < 0.5, "it spins")
            resource.prlimit(s.pid, resource.RLIMIT_NOFILE, (soft, hard))
            check(b"does not know 'what'" in who.recv(200), "the answer")
        check_equal(s.end(), 0, "exit status")


@in_folder
def pauses_grow(folder):
    with Supervisor(folder) as s:
        s.running()
        for text in ("at once", "in 0.1 s", "in 0.2 s", "in 0.4 s"):
            mark = s.kill_role("helper")
            s.wait(f"starting it again {text}", mark)
        check_equal(s.end(), 0, "exit status")


@in_folder
def state_that_kills_is_left(folder):
    with Supervisor(folder, "--restart-pause", "0") as s:
        s.running()
        s.kill_role("ike")
        for _ in range(4):
            mark = s.kill_role("plane", signal.SIGSEGV)
            s.wait("ike] hello from plane", mark)
        old = s.role("ike")
        mark = s.kill_role("plane", signal.SIGSEGV)
        s.wait("without what its predecessors knew", mark)
        s.wait("state area is 0", mark)
        s.wait("state engine is 0", mark)  # keys without their counters are of no use
        until("another ike", lambda: s.role("ike") not in (0, old))
        check_equal(s.end(), 0, "exit status")


@in_folder
def no_death_of_its_own(folder):
    """Without plane, ike can't work: it is neither given up nor started without what it knew."""
    with Supervisor(folder, env={"FAKE_IKE": "alone"}) as s:
        s.running()
        log = s.daemon.log()
        check_equal(log.count("can't work without another process"), 7, "times that it was alone")
        check("state engine is 7" in log, "its state is as it was")
        check_equal(s.end(), 0, "exit status")


@in_folder
def broken_links_are_made_again(folder):
    with Supervisor(folder, env={"FAKE_IKE": "unlinks"}) as s:
        s.running()
        roles = s.roles()
        mark = s.daemon.log_mark()
        s.daemon.kill(signal.SIGHUP)
        for peer in ("plane", "helper"):
            s.wait(f"the link between ike and {peer} broke", mark)
            s.wait(f"{peer}] a peer is gone", mark)
            s.wait(f"{peer}] hello from ike {roles['ike']}", mark)
            s.wait(f"ike] hello from {peer} {roles[peer]}", mark)
        check_equal(s.roles(), roles, "the processes")
        check_equal(s.end(), 0, "exit status")


class Hung:
    """Processes that are stopped, each beside two that go on; it takes more than a minute until the
    supervisor is sure, in which other cases run."""

    def __init__(self):
        self.folders = [tempfile.mkdtemp(prefix="interop-hung-") for _ in ROLES]
        self.all = []

    def __enter__(self):
        for folder, name in zip(self.folders, ROLES):
            s = Supervisor(folder, "--restart-pause", "0")
            self.all.append((s, name, s.running().roles()))
            s.signal_role(name, signal.SIGSTOP)
        return self

    def __exit__(self, *exception):
        for s, _, _ in self.all:
            s.__exit__(*exception)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def are_replaced(self):
        for s, name, before in self.all:
            s.wait(f"{name} (pid {before[name]}) did not answer any more", timeout=200)
            until(f"a new {name}", lambda s=s, n=name, b=before: s.role(n) not in (0, b[n]))
            s.wait(f"{name}] state {STATES[name]} is 1")
            check_equal({k: v for k, v in s.roles().items() if k != name},
                        {k: v for k, v in before.items() if k != name}, "the others")
            check_equal(s.end(), 0, "exit status")


def starting_fails(folder, env, status, *texts):
    with Supervisor(folder, "--restart-pause", "0.1", env=env) as s:
        check_equal(s.daemon.child.wait(20), status, f"exit status with {env}")
        for text in texts:
            s.wait(text)


@in_folder
def starting_that_fails_is_told(folder):
    starting_fails(folder, {"FAKE_PLANE": "fail"}, 1, "plane can't start: it was told to fail")
    starting_fails(folder, {"FAKE_HELPER": "status2"}, 2, "ended with status 2; ending")
    starting_fails(folder, {"FAKE_IKE": "crash"}, 1, "killed by SIGABRT", "a last word")
    with Supervisor(folder) as s:
        s.running()
        with Supervisor(folder, name="log2") as other:
            check_equal(other.daemon.child.wait(10), 1, "exit status of a second one")
            other.wait(f"process {s.pid} holds")
        check_equal(s.end(), 0, "exit status")


@in_folder
def a_port_in_use_is_one_line(folder):
    """It is not waited for, and nobody complains of the plane that went."""
    with open(f"{folder}/ipsec.conf", "w", encoding="utf-8"):
        pass
    namespace = netns.Namespace("port")
    argv = namespace.argv(OWN, "--foreground", "--sandbox=off", "--config", f"{folder}/ipsec.conf",
                          "--vici", f"{folder}/vici", "--crash-secret", f"{folder}/crash-secret")
    try:
        with netns.socket_of(namespace, socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", 500))
            done = subprocess.run(argv, text=True, timeout=20, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    finally:
        namespace.remove()
    check_equal(done.returncode, 1, "exit status")
    check("waiting for its end" not in done.stdout, done.stdout)
    lines = [line for line in done.stdout.splitlines()
             if (" error " in line or " warn " in line) and "sandbox: off" not in line]
    check(len(lines) == 1 and "plane can't start: UDP port 500 (IPv4): Address already in use" in lines[0], done.stdout)


def in_background(folder, env=None):
    argv = [BINARY, "--split", "--vici", f"{folder}/vici", "--config", f"{folder}/ipsec.conf",
            "--restart-pause", "0.1", "--crash-secret", f"{folder}/crash-secret"]
    return subprocess.run(argv, env={**os.environ, **(env or {})}, text=True, timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


@in_folder
def the_command_returns_when_all_work(folder):
    with open(f"{folder}/ipsec.conf", "w", encoding="utf-8"):
        pass
    for env, status, text in (({"FAKE_PLANE": "fail"}, 1, "it was told to fail"),
                              ({"FAKE_IKE": "status2"}, 2, "ended with status 2"),
                              ({"FAKE_IKE": "crash"}, 1, "ike says: a last word")):
        done = in_background(folder, env)
        check_equal(done.returncode, status, f"exit status with {env}")
        check(text in done.stderr, f"'{text}' is not in {done.stderr!r}")
    done = in_background(folder)
    said = [line for line in done.stderr.splitlines() if "there is no user 'ipsecd'" not in line]
    check_equal((done.returncode, said), (0, []), "of the command")
    with open(f"{folder}/vici.lock", encoding="ascii") as file:
        pid = int(file.read())
    try:
        old = children(pid)
        check_equal(sorted(map(title, old)), sorted(f"ipsecd: {r}" for r in ROLES), "titles")
        subprocess.run([CTL, "--vici", f"{folder}/vici", "upgrade"], check=True,
                       stdout=subprocess.DEVNULL)
        check(not set(children(pid)) & set(old), "an upgrade in the background left old ones")
    finally:
        os.kill(pid, signal.SIGTERM)
    until("it is gone", lambda: not title(pid))


# ---- another program ----

@in_folder
def upgrade(folder):
    with Supervisor(folder) as s:
        s.running()
        for round_ in (1, 2):
            old = s.roles()
            mark = s.daemon.log_mark()
            status, text = s.ctl("upgrade")
            check_equal(status, 0, text)
            check(re.match(r"ipsecd \S+ has taken over, in \d+ ms", text), text)
            new = s.roles()
            check(all(new.values()) and not set(new.values()) & set(old.values()), f"{old}, {new}")
            for name in ("area", "engine", "vault"):
                s.wait(f"state {name} is {round_}", mark)
            s.wait("plane] was given tun:fake.0", mark)
            s.wait(f"restarts 0 0 0, upgrades {round_}", mark)
            s.wait("ike] reload", mark)
            log = s.daemon.log(mark)
            check(log.index("ike] stop and keep") < log.index("plane] stop and keep") <
                  log.index("area is"), "the order of the processes")
        s.kill_role("ike")
        check_equal(s.end(), 0, "exit status")
        check_equal([n for n in os.listdir(folder) if n.startswith("vici")], [], "files left")


@in_folder
def an_upgrade_keeps_the_options(folder):
    with Supervisor(folder, "--sandbox", "off", "--restart-pause", "3") as s:
        s.running()
        before = s.options()
        status, text = s.ctl("upgrade")
        check_equal(status, 0, text)
        after = s.options()
        check_equal({name: after.get(name) for name in before}, before, "the options")


@in_folder
def upgrades_that_are_refused(folder):
    script = f"{folder}/script"
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 0\n")
    older = f"{folder}/older"
    with open(older, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\necho ipsecd-upgrade handover=0\n")
    for path in (script, older):
        os.chmod(path, 0o755)
    with Supervisor(folder) as s:
        s.running()
        old = s.roles()
        for binary, text in (("/bin/true", "no ipsecd that can take over"),
                             ("/bin/cat", "it said: "),
                             (script, "no ipsecd that can take over"),
                             (older, "no ipsecd that can take over"),
                             ("/etc/passwd", "Permission denied"),
                             (f"{folder}/nothing", "No such file")):
            status, said = s.ctl("upgrade", binary)
            check_equal(status, 1, f"exit status of upgrade {binary}: {said}")
            check(text in said, f"'{text}' is not in {said!r}")
        s.configure("conn\n")
        status, said = s.ctl("upgrade")
        check(status == 1 and "it refuses the configuration: " in said and "ipsec.conf:1" in said,
              said)
        check_equal(s.roles(), old, "the processes")
        check_equal(s.end(), 0, "exit status")


@in_folder
def an_upgrade_that_does_not_work(folder):
    """The new program passes the check, but its processes don't start: the one before goes on, with
    what was kept."""
    bad = f"{folder}/bad-program"
    shutil.copy(BINARY, bad)
    for role, how in (("PLANE", "fail"), ("IKE", "crash"), ("HELPER", "crash")):
        log = f"log.{role}"
        with Supervisor(folder, env={f"FAKE_{role}": how, "FAKE_OF": "bad-program"}, name=log) as s:
            s.running()
            before, mark = fds_of(s.pid), s.daemon.log_mark()
            status, said = s.ctl("upgrade", bad)
            check(status == 1 and "its processes die" in said and "has taken over again" in said, said)
            s.wait("back to the one before", mark)
            check(all(s.roles().values()), f"not all run: {s.roles()}")
            check(not any(os.readlink(f"/proc/{pid}/exe") == bad
                          for pid in (s.pid, *children(s.pid))), "the other program")
            s.wait("plane] was given tun:fake.0", mark)
            status, said = s.ctl("upgrade", BINARY)  # and another one works
            check_equal(status, 0, said)
            until("no descriptor more than before", lambda: fds_of(s.pid) == before)
            check_equal(s.end(), 0, "exit status")


@in_folder
def takeover(folder):
    with Supervisor(folder) as old:
        old.running()
        gone = old.roles().values()
        with Supervisor(folder, "--takeover", name="log2") as new:
            check_equal(old.daemon.child.wait(10), 0, "exit status of the old one")
            new.running()
            for text in ("state area is 1", "state engine is 1", "state vault is 1",
                         "was given tun:fake.0", "upgrades 1", "vici is there"):
                new.wait(text)
            check(not any(title(pid) for pid in gone), "old processes are left")
            with open(f"{folder}/vici.lock", encoding="ascii") as file:
                check_equal(int(file.read()), new.pid, "who holds the lock")
            check(os.path.exists(new.vici), "the socket is gone")
            new.kill_role("plane")
            check_equal(new.ctl("upgrade")[0], 0, "upgrade afterwards")
            check_equal(new.end(), 0, "exit status")
            check_equal([n for n in os.listdir(folder) if n.startswith("vici")], [], "files")


@in_folder
def takeovers_that_fail(folder):
    with Supervisor(folder, "--takeover") as nobody:
        check_equal(nobody.daemon.child.wait(10), 1, "exit status without an old one")
        nobody.wait("nobody to take over from")
    with Supervisor(folder) as s:
        s.running()
        s.configure("conn\n")
        with Supervisor(folder, "--takeover", name="log2") as new:
            check_equal(new.daemon.child.wait(10), 2, "exit status with a bad configuration")
        s.configure("")
        old = s.roles()
        # One that dies half-way.
        heir = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        heir.settimeout(10)
        heir.connect(f"{s.vici}.supervisor")
        heir.send(b"takeover 1")
        lines = []
        while not lines or lines[-1] != b"all":
            line, fds, _flags, _from = socket.recv_fds(heir, 4096, 1)
            lines.append(line)
            for fd in fds:
                os.close(fd)
        check(b"lock" in lines and b"keep ike.engine" in lines and b"keep self.vici" in lines,
              f"{lines}")
        status, said = s.ctl("upgrade")
        check(status == 1 and "under way" in said, said)
        heir.send(b"stop ike")
        while heir.recv(4096) != b"gone ike":
            pass
        check_equal(s.role("ike"), 0, "ike, stopped for the heir")
        heir.close()
        s.wait("going on")
        until("ike is back", lambda: s.role("ike"))
        check_equal(s.role("plane"), old["plane"], "the plane")
        s.wait("state engine is 1")
        # One whose plane never works.
        with Supervisor(folder, "--takeover", env={"FAKE_PLANE": "fail"}, name="log2") as new:
            check_equal(new.daemon.child.wait(20), 1, "exit status of one that can't")
            new.wait("nothing was taken over")
        until("all are back", lambda: 0 not in s.roles().values())
        check_equal(s.ctl("upgrade")[0], 0, "upgrade afterwards")
        check(os.path.exists(s.vici), "the socket is gone")
        check_equal(s.end(), 0, "exit status")


# ---- systemd ----

@in_folder
def the_service_manager_is_told(folder):
    with ServiceManager(folder) as manager:
        s = Supervisor.__new__(Supervisor)
        s.folder, s.vici, s.conf = folder, f"{folder}/vici", f"{folder}/ipsec.conf"
        s.configure("")
        process = manager.start(s.argv(), f"{folder}/log", watchdog_us=300000)
        try:
            until("READY=1", lambda: manager.heard("READY=1"))
            until("STATUS", lambda: manager.heard("STATUS=fake work"))
            until("the watchdog is served", lambda: manager.read().count("WATCHDOG=1") > 3)
            mark = len(manager.read())
            process.send_signal(signal.SIGHUP)
            until("RELOADING=1", lambda: "RELOADING=1" in manager.read()[mark:])
            until("READY=1 again", lambda: "READY=1" in manager.read()[mark:])
            check(any(line.startswith("MONOTONIC_USEC=") for line in manager.told[mark:]),
                  "MONOTONIC_USEC")
        finally:
            process.terminate()
            status = manager.wait(process)
        check_equal(status, 0, "exit status")
        check(manager.heard("STOPPING=1"), "STOPPING=1")


@in_folder
def restart_by_the_service_manager(folder):
    with ServiceManager(folder) as manager:
        s = Supervisor.__new__(Supervisor)
        s.folder, s.vici, s.conf = folder, f"{folder}/vici", f"{folder}/ipsec.conf"
        s.configure("")
        inode = None
        for round_ in range(3):
            manager.told = []
            log = f"{folder}/log{round_}"
            # Only the first ike says so: who ends before the next one has said it keeps, too.
            process = manager.start(s.argv(), log, {"FAKE_KEEP": "once"})
            try:
                until("READY=1", lambda: manager.heard("READY=1"))
                check_equal(manager.names(), sorted([
                    "helper.vault", "ike.crash-secret", "ike.engine", "plane.area",
                    "plane.tun%3Afake.0", "self.socket", "self.vici"]), "what is kept")
                with open(log, encoding="utf-8") as file:
                    text = file.read()
                check(f"state engine is {round_}" in text, text)
                check(("was given tun:fake.0" in text) == (round_ > 0), text)
                if round_:  # the files may have changed
                    until("a reload", lambda log=log: "ike] reload" in read(log))
                found = os.stat(s.vici).st_ino
                check(inode in (None, found), "the vici socket is another one")
                inode = found
                code, said = s.ctl("upgrade", "/bin/true")
                check(code == 1 and "can take over" in said, f"the supervisor's socket: {said}")
                if round_ == 2:
                    code, said = s.ctl("upgrade")
                    check_equal(code, 0, f"upgrade: {said}")
            finally:
                process.terminate()
                status = manager.wait(process)
            check_equal(status, 0, "exit status")
            with open(log, encoding="utf-8") as file:
                text = file.read()
                check_equal(text.count("stop and keep"), 6 if round_ == 2 else 3,
                            "processes that keep")
        manager.clear()
        manager.told = []
        process = manager.start(s.argv(), f"{folder}/log-last")
        try:
            until("READY=1", lambda: manager.heard("READY=1"))
            until("all is kept", lambda: len(manager.names()) == 7)
        finally:
            process.terminate()
            check_equal(manager.wait(process), 0, "exit status")
        with open(f"{folder}/log-last", encoding="utf-8") as file:
            text = file.read()
        check("state engine is 0" in text and text.count("stop for good") == 3, text)


@in_folder
def a_stop_with_a_limit(folder):
    for tool in ("systemd-run", "systemctl"):
        with open(f"{folder}/{tool}", "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\nfor word; do echo "$word"; done >>{folder}/{tool}.ran\n')
        os.chmod(f"{folder}/{tool}", 0o755)
    conf = f"{folder}/ipsec.conf"
    for text, timer in (("", False), ("config setup\n    keep-on-stop=30s\n", True)):
        with open(conf, "w", encoding="ascii") as file:
            file.write(text)
        subprocess.run([BINARY, "--before-stop", "--config", conf, "--vici", "/some/vici"],
                       check=True, env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
        check_equal(os.path.exists(f"{folder}/systemd-run.ran"), timer, f"a timer with '{text}'")
    words = read(f"{folder}/systemd-run.ran").splitlines()
    check("--on-active=30s" in words and "--unit=ipsecd-clean-up" in words, f"{words}")
    # What the timer would do.
    at = words.index("/bin/sh")
    check_equal(words[at + 3:at + 5], [BINARY, "/some/vici"], "of the timer's script")
    fake = f"{folder}/flush"
    with open(fake, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\necho "$@" >{folder}/flushed\n')
    os.chmod(fake, 0o755)
    subprocess.run([*words[at:at + 3], fake, *words[at + 4:]], check=True,
                   env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
    check_equal(read(f"{folder}/flushed"), "--flush --vici /some/vici\n", "its first command")
    ran = read(f"{folder}/systemctl.ran").split()
    check_equal(ran[:2], ["stop", "ipsecd-clean-up.timer"], "of the timer before")
    check_equal(ran[2:4], ["clean", "--what=fdstore"], "its second command")
    check(ran[4].endswith(".service"), f"{ran}")


def cases(suite):
    suite.case("processes start, know each other and end in order", starts_and_ends)
    suite.case("SIGHUP reloads, SIGINT ends", reloads)
    suite.case("signals that are not for us", foreign_signals_are_ignored)
    suite.case("a second signal does not wait for a deaf ike", second_signal_ends_at_once)
    suite.case("kill -9 of the supervisor leaves no process", death_of_the_supervisor)
    suite.case("kill -9 of each role", the_dead_come_back)
    suite.case("51 restarts leak nothing", restarts_leak_nothing)
    suite.case("without a free descriptor", short_of_descriptors)
    suite.case("pauses grow", pauses_grow)
    suite.case("five deaths: without the state", state_that_kills_is_left)
    suite.case("without another process", no_death_of_its_own)
    suite.case("a link breaks", broken_links_are_made_again)
    suite.case("a start that fails is told", starting_that_fails_is_told)
    suite.case("a port in use", a_port_in_use_is_one_line)
    suite.case("in the background", the_command_returns_when_all_work)
    suite.case("upgrade", upgrade)
    suite.case("an upgrade keeps the options", an_upgrade_keeps_the_options)
    suite.case("upgrades that are refused", upgrades_that_are_refused)
    suite.case("an upgrade that does not work", an_upgrade_that_does_not_work)
    suite.case("takeover", takeover)
    suite.case("takeovers that fail", takeovers_that_fail)
    suite.case("systemd is told", the_service_manager_is_told)
    suite.case("systemd's store", restart_by_the_service_manager)
    suite.case("a stop that keeps, and nobody comes", a_stop_with_a_limit)


def main():
    suite = Suite("supervise")
    with Hung() as hung:
        cases(suite)
        suite.case("a process that hangs is replaced", hung.are_replaced)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
