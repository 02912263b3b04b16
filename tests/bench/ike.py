"""What handshakes and configured peers cost: the engine alone, real daemons, their memory."""
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import time

from tests.support import netns
from tests.support.ipsecd import Ipsecd
from tests.support.poll import until
from tests.support.tunnel import End

from . import rigs

FEW, MANY = 1000, 50000  # SAs that are there while the cost of further ones is measured
BLOCK, BLOCKS = 100, 10
TUNNELS, TUNNELS_A_ROUND = 100, 20
MEMORY_TUNNELS = 500
PEERS, RELOADS = 10000, 5
GROUP = 7  # of devices that go together
QUIET = 3  # seconds: more than lie between two announcements
LONG = 180  # seconds; who takes longer has failed


# ---- the engine alone ----

class Engines:
    """bench_ike: a responder's engine that is measured, and the initiators'."""

    def __init__(self, sas, *words):
        self.child = subprocess.Popen([f"{rigs.PROGRAMS}/bench_ike", str(sas), *words],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self.answer()

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"bench_ike ended, status {self.child.wait()}")
        return json.loads(line)

    def handshakes(self, count):
        self.child.stdin.write(f"{count}\n")
        self.child.stdin.flush()
        return self.answer()

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def engine():
    """Blocks of handshakes in turn: with few SAs, with many, and with few whose records are
    written for a daemon that survives. Memory: from few to many."""
    half = BLOCK * BLOCKS // 2
    few, many = Engines(FEW + half), Engines(MANY + half)
    published = Engines(FEW + half, "publish")
    try:
        few.handshakes(FEW - half)
        published.handshakes(FEW - half)
        at_few = many.handshakes(FEW)
        steps = [many.handshakes(FEW) for _ in range(MANY // FEW - 2)]
        at_many = many.handshakes(FEW - half)
        blocks = [{"few": few.handshakes(BLOCK)["responder_ms"],
                   "many": many.handshakes(BLOCK)["responder_ms"],
                   "published": published.handshakes(BLOCK)["responder_ms"]}
                  for _ in range(BLOCKS)]
    finally:
        for one in (few, many, published):
            one.close()
    grown = at_many["rss_anon_kib"] - at_few["rss_anon_kib"]
    return {"x25519_ms": few.first["x25519_ms"], "few": FEW, "many": MANY, "blocks": blocks,
            "kib_per_sa": grown / (at_many["sas"] - at_few["sas"]),
            "conn_kib": many.first["rss_anon_kib"] / (MANY + half),
            "steps": [{"sas": s["sas"], "responder_ms": s["responder_ms"]} for s in (at_few, *steps)]}


# ---- real daemons ----

def many_ends(count, one_peer):
    """Tunnels of ours and theirs, told apart by their identities; the peers have one outer address
    together, or one each."""
    def end(n, here, there):
        def outer(side):
            return f"172.{15 + side}.{n >> 8}.{n & 255}" if side == 2 and not one_peer else f"172.16.{side}.1"

        def inner(side):
            return f"10.{side}.{n >> 8}.{n & 255}/32"

        return End(name=f"peer{n}", local=outer(here), remote=outer(there),
                   local_id=f"side{here}-{n}.example", remote_id=f"side{there}-{n}.example",
                   inside=(inner(here),), ping=(), local_ts=inner(here), remote_ts=inner(there),
                   device=f"tun{n}", secret=f"secret of {n}")
    return [(end(n, 1, 2), end(n, 2, 1)) for n in range(1, count + 1)]


class ManyPeers(Ipsecd):
    """ipsecd with more tunnels than are looked at one by one."""

    def __init__(self, space, folder):
        super().__init__(space, folder, ("--log-level", "warn"))

    def connect(self):
        super().connect()
        self.control.socket.settimeout(LONG)

    def _settle(self, clients=()):
        until(f"{len(self.ends)} connections and devices", self.settled, LONG)

    def stop(self):
        """At once, and all devices in one step: closed one by one, each of them takes the kernel
        some hundredths of a second."""
        if self.control:
            self.control.close()
        pids = rigs.family(self.daemon.child.pid) if self.daemon else []
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if number == signal.SIGSTOP:
                self.delete_devices()
        if self.daemon:
            self.daemon.child.wait()

    def delete_devices(self):
        names = [name for name in self.namespace.links() if name.startswith("tun")]
        if names:
            self.namespace.batch(f"link set {name} group {GROUP}" for name in names)
            self.namespace.ip("link", "delete", "group", str(GROUP))

    def has_last(self):
        """They are loaded in the order of the file."""
        return bool(self.conn(self.ends[-1].name))

    def conn(self, name):
        """A connection as it is loaded, or None."""
        listed = self.control.stream("list-conns", "list-conn", {"ike": name})
        return listed[0][name] if listed else None

    def settled(self):
        return self.has_last() and self.devices() == len(self.ends)

    def devices(self):
        return sum(name.startswith("tun") for name in self.namespace.links())

    def cpu_by_role(self):
        pids = {"supervisor": self.daemon.child.pid, **self.roles()}
        return {role: rigs.cpu_of(pid) for role, pid in pids.items()}

    def memory(self, role):
        """KiB that are its alone, those that it shares with who comes after it among them."""
        pid = self.role(role)
        return rigs.memory(pid, "RssAnon") + rigs.memory(pid, "RssShmem")


class Responder(rigs.Rig):
    """ipsecd begins, the daemon that is measured answers; nothing is up yet."""

    def __init__(self, folder, rig, make, count):
        self.name, self.label, self.make = f"ike_{rig.name}", f"{rig.label} as responder", make
        super().__init__(folder)
        self.tunnels = many_ends(count, True)
        self.done = 0

    def start(self):
        self.peers = [make(space, self.path(side))
                      for make, space, side in zip((ManyPeers, self.make), self.spaces, "ab")]
        for index, peer in ((1, self.peers[1]), (0, self.peers[0])):
            peer.start([ends[index] for ends in self.tunnels])
            self.daemons.insert(0, peer.daemon)

    def passes(self):
        return True  # nothing is to pass

    def handshakes(self, count):
        """CPU time of the responder's daemon for one tunnel, these being brought up one by one."""
        before = self.cpu()[1]
        for ours, _ in self.tunnels[self.done:self.done + count]:
            self.peers[0].initiate(ours.name)
        self.done += count
        return {"responder_ms": (self.cpu()[1] - before) * 1000 / count}


def responders(folder, wanted, failures):
    """Rounds of handshakes with each responder in turn, then more with ipsecd's for its memory."""
    makers = {rigs.Ours: (ManyPeers, MEMORY_TUNNELS), rigs.StrongSwan: (rigs.QuietCharon, TUNNELS)}
    running, result = {}, {"rounds": []}
    try:
        for kind in (kind for kind in makers if kind in wanted):
            with failures.of(kind, "responder"):
                running[kind] = Responder(folder, kind, *makers[kind])
                running[kind].up()
        ours = running.get(rigs.Ours)
        roles = ours.peers[1].cpu_by_role() if ours else {}
        before = {role: ours.peers[1].memory(role) for role in ("ike", "plane")} if ours else {}
        for _ in range(TUNNELS // TUNNELS_A_ROUND):
            result["rounds"].append({kind.name: rig.handshakes(TUNNELS_A_ROUND)
                                     for kind, rig in running.items()})
        if ours:
            ours.handshakes(MEMORY_TUNNELS - ours.done)
            after = ours.peers[1].cpu_by_role()
            result["role_ms"] = {role: (after[role] - roles[role]) * 1000 / ours.done for role in roles}
            for role, kib in before.items():
                result[f"{role}_kib_per_sa"] = (ours.peers[1].memory(role) - kib) / ours.done
    finally:
        for rig in running.values():
            rig.remove()
    return result


# ---- many configured peers ----

def start_seconds(daemon, ends):
    """From its exec until its control socket says that it has the last one, and all devices are there."""
    daemon.write_ends(ends)
    begun = time.monotonic()
    daemon._launch()
    until("the last connection", daemon.has_last, LONG)
    loaded = time.monotonic()
    if len(daemon.conns()) != len(ends):
        raise RuntimeError("the last connection is there, but not all before it")
    if daemon.devices() < len(ends):
        until("all devices", lambda: daemon.devices() == len(ends), LONG)
        loaded = time.monotonic()
    return loaded - begun


def reload_ms(daemon, ends, n):
    """Of a configuration in which one connection's keyword has another value."""
    ends[n] = dataclasses.replace(ends[n], dpd=30 + n)
    daemon.write_ends(ends)
    begun = time.monotonic()
    daemon.control.request("reload-settings")
    took = (time.monotonic() - begun) * 1000
    conn = daemon.conn(ends[n].name)
    if int(conn["dpd_delay"]) != 30 + n:
        raise RuntimeError(f"after a reload {ends[n].name} has dpd_delay={conn['dpd_delay']}, not {30 + n}")
    return took


def quiet(heard):
    """Addresses of new devices are told again for some seconds (docs/dataplane.md): lines that were
    written until that is over."""
    seen, since = -1, time.monotonic()

    def silent():
        nonlocal seen, since
        size = os.path.getsize(heard)
        if size != seen:
            seen, since = size, time.monotonic()
        return time.monotonic() - since > QUIET
    until("no more announcements", silent, LONG)
    with open(heard, encoding="ascii", errors="replace") as file:
        return len(file.readlines())


def bare_devices(count):
    """Seconds of a program that makes so many devices as ours are, and does nothing else."""
    space = netns.Namespace("bare")
    try:
        made = subprocess.run(space.argv(f"{rigs.PROGRAMS}/bare_devices", str(count)), check=True,
                              stdout=subprocess.PIPE, text=True)
        return float(made.stdout)
    finally:
        space.remove()


def many_peers(folder, count):
    """Start with so many configured peers, reloads that change one each. What happens to devices
    and addresses meanwhile is heard from the kernel: nothing must."""
    alone = bare_devices(count)
    space = netns.Namespace("many")
    daemon = ManyPeers(space, os.path.join(folder, "many"))
    ends = [ours for ours, _ in many_ends(count, False)]
    heard = daemon.path("heard")
    try:
        space.address("lo", ends[0].local + "/32")
        started = start_seconds(daemon, ends)
        with open(heard, "wb") as file:
            monitor = subprocess.Popen(["ip", "-n", space.name, "monitor", "link", "address"], stdout=file)
        before = quiet(heard)
        reloads = [reload_ms(daemon, ends, count // 2 + n) for n in range(RELOADS)]
        monitor.terminate()
        monitor.wait()
        with open(heard, encoding="ascii", errors="replace") as file:
            events = len(file.readlines()) - before
        return {"peers": count, "devices_alone_s": alone, "start_s": started, "reload_ms": reloads,
                "device_events": events,
                "rss_mb": {role: rigs.memory(pid) / 1024 for role, pid in daemon.roles().items()}}
    finally:
        daemon.stop()
        space.remove()
