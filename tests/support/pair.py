"""Two gateways: our ipsecd and their charon, by cable or through a router.

    direct:  ours eth0 172.16.1.x/16 ---- 172.16.2.x/16 eth0 theirs
    routed:  ours eth0 172.16.1.x/24 -- 172.16.1.254 router 172.16.2.254 -- theirs

Each tunnel has outer addresses of its own (tunnel.py), so that a pair of daemons
holds many connections that can't be mistaken for one another.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from itertools import pairwise

from . import netns
from .ipsecd import Ipsecd
from .poll import Timeout, until
from .process import sockets
from .strongswan import Charon
from .suite import check


class Pair:
    """Use as `with Pair(tunnels) as pair:`; everything is gone behind the block."""

    def __init__(self, tunnels, routed=False, charon_settings="", ipsecd_options=(),
                 retransmit_timeout=1.0, setup=""):
        self.tunnels = tunnels
        self.routed = routed
        self.folder = tempfile.mkdtemp(prefix="interop-")
        self.namespaces = []
        self.router = None
        self.options = (charon_settings, tuple(ipsecd_options), retransmit_timeout)
        self.ours = self.theirs = None
        self.setup = setup  # our `config setup`

    def end(self, name, peer):
        """What this peer's configuration says of the tunnel."""
        ours, theirs = next(t for t in self.tunnels if t[0].name == name)
        return ours if peer is self.ours else theirs

    def __enter__(self):
        try:
            self._wire()
            settings, options, timeout = self.options
            self.theirs = self._their_daemon(settings, timeout)
            self.ours = self._our_daemon(options)
            self.ours.setup = self.setup
            # The responder first: a NO_PROPOSAL_CHOSEN would end auto=start's attempt.
            self.theirs.start([theirs for _, theirs in self.tunnels])
            self.ours.start([ours for ours, _ in self.tunnels])
        except BaseException:
            self._dump()
            self.__exit__()
            raise
        return self

    def _their_daemon(self, settings, retransmit_timeout):
        return Charon(self.namespaces[1], os.path.join(self.folder, "theirs"), settings,
                      retransmit_timeout)

    def _our_daemon(self, options):
        folder = os.path.join(self.folder, "ours")
        if os.environ.get("INTEROP_OURS") == "charon":
            # To tell a fault of the harness from one of ours: charon on both ends.
            return Charon(self.namespaces[0], folder)
        return Ipsecd(self.namespaces[0], folder, options)

    def _dump(self):
        for peer in (self.ours, self.theirs):
            if peer and peer.daemon:
                print(f"{peer.kind}: {peer.log()[-1500:]}")

    def __exit__(self, *_exception):
        for peer in (self.ours, self.theirs):
            if peer and peer.daemon:
                peer.stop()
        for namespace in self.namespaces:
            namespace.remove()
        if not os.environ.get("INTEROP_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def add_tunnel(self, ours, theirs):
        """One more tunnel for charon; our side is up to the test."""
        self.tunnels.append((ours, theirs))
        for namespace, end in zip(self.namespaces, (ours, theirs)):
            namespace.address("eth0", end.local + "/16")
        self.theirs.load([theirs for _, theirs in self.tunnels])

    # -- wiring --

    def _namespace(self, role):
        namespace = netns.Namespace(role)
        self.namespaces.append(namespace)
        return namespace

    def _wire(self):
        netns.remove_stale()
        ours, theirs = self._namespace("ours"), self._namespace("theirs")
        if self.routed:
            self.router = self._namespace("router")
            for side, gateway in ((1, ours), (2, theirs)):
                netns.veth(gateway, "eth0", self.router, f"eth{side}")
                self.router.address(f"eth{side}", f"172.16.{side}.254/24")
                gateway.address("eth0", *self._outer(side - 1))
                gateway.route("default", "via", f"172.16.{side}.254")
            self.router.sysctl("net.ipv4.ip_forward", 1)
        else:
            netns.veth(ours, "eth0", theirs, "eth0")
            ours.address("eth0", *self._outer(0))
            theirs.address("eth0", *self._outer(1))

    def _outer(self, index):
        length = "/24" if self.routed else "/16"
        found = {ends[index].local for ends in self.tunnels}
        return sorted(a + ("/64" if ":" in a else length) for a in found if not a.startswith("%"))

    # -- traffic --

    def ping(self, name, count=2):
        """From our inside address to theirs, through the tunnel; every one answered."""
        ours = self.end(name, self.ours)
        for source, target in zip(ours.inside, ours.ping):
            # -w: without it ping gives a late last answer two round trips only. It sends
            # on until it has `count` answers, so a loss shows as a gap in their numbers.
            output = self.namespaces[0].run(
                "ping", "-n", "-c", str(count), "-i", "0.02", "-w", "10",
                "-I", source.split("/")[0], target, check=False)
            check(set(range(1, count + 1)) <= answered(output),
                  f"ping {target}: {output.strip()}")

    def ping_sizes(self, name):
        """Packets from tiny to as large as the tunnel device lets through in one piece, and
        twice as large, in fragments."""
        ours = self.end(name, self.ours)
        for source, target in zip(ours.inside, ours.ping):
            head = 48 if ":" in target else 28
            largest = self.ours.link(ours.device)["mtu"] - head
            for size in (0, 1, 63, 512, largest - 1, largest, 2 * largest):
                fragment = "do" if size <= largest else "dont"
                output = self.namespaces[0].run(
                    "ping", "-n", "-c", "1", "-W", "10", "-M", fragment, "-s", str(size),
                    "-I", source.split("/")[0], target, check=False)
                check(" 1 received" in output, f"ping of {size} bytes: {output.strip()}")

    def transfer(self, name, size):
        """That many bytes by TCP to the other end's echo and back: large segments, too."""
        ours = self.end(name, self.ours)
        for source, target in zip(ours.inside, ours.ping):
            with netns.tcp_socket(self.namespaces[1], target) as server:
                server.listen()
                echo = threading.Thread(target=_echo_once, args=(server,))
                echo.start()
                with netns.tcp_socket(self.namespaces[0], source.split("/")[0]) as client:
                    client.connect(server.getsockname()[:2])
                    sent = os.urandom(size)
                    writer = threading.Thread(target=_send_all, args=(client, sent))
                    writer.start()
                    received = b"".join(iter(lambda: client.recv(1 << 16), b""))
                    writer.join()
                echo.join()
            check(received == sent, f"{len(received)} of {size} bytes came back from {target}")

    def pinging(self, name, interval="0.01"):
        ours = self.end(name, self.ours)
        return Pinging(self.namespaces[0], ours.inside[0].split("/")[0], ours.ping[0], interval)

    def both_up(self, name, timeout=10.0):
        self.ours.wait_up(name, timeout)
        self.theirs.wait_up(name, timeout)

    def both_down(self, name, timeout=10.0):
        self.ours.wait_down(name, timeout)
        self.theirs.wait_down(name, timeout)

    @contextmanager
    def up(self, name, initiator):
        """The tunnel, brought up and pinged; taken down again behind the block."""
        try:
            initiator.initiate(name)
            self.both_up(name)
            self.ping(name)
            yield
        except BaseException:  # what failed first is what is told
            try:
                self.take_down(name)
            except (RuntimeError, AssertionError) as late:
                print(f"      then, taking '{name}' down: {late}")
            raise
        self.take_down(name)

    def take_down(self, name):
        """Whatever is left of the tunnel. charon deletes it: after a terminate of ours,
        ipsecd would hold the connection down and answer no initiation of the peer."""
        if self.theirs.sas(name):
            self.theirs.terminate(name)
        try:
            self.ours.wait_down(name, 2)
        except Timeout:
            self.ours.terminate(name)
        self.both_down(name)


class OursWithOurs(Pair):
    """ipsecd at both ends, with the same options."""

    def _their_daemon(self, settings, retransmit_timeout):
        return Ipsecd(self.namespaces[1], os.path.join(self.folder, "theirs"), self.options[1])


def answered(output):
    """The sequence numbers of the answers that ping printed."""
    return {int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", output)}


def socket_drops(pid):
    """(inode, packets without room) of each ICMP socket in that process's network namespace."""
    for table in ("icmp", "icmp6", "raw", "raw6"):
        with suppress(FileNotFoundError), open(f"/proc/{pid}/net/{table}", encoding="utf-8") as lines:
            for line in list(lines)[1:]:
                words = line.split()
                yield words[9], int(words[-1])


def _send_all(sock, data):
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def _echo_once(server):
    connection, _ = server.accept()
    with connection:
        for part in iter(lambda: connection.recv(1 << 16), b""):
            connection.sendall(part)


class Pinging:
    """Pings in the background of a `with` block; afterwards .sent, .lost and .hole, the longest
    time in which each was lost, in seconds, are known."""

    def __init__(self, namespace, source, target, interval):
        self.output = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            namespace.argv("ping", "-n", "-i", interval, "-W", "1", "-I", source, target),
            stdout=self.output, stderr=subprocess.STDOUT)
        self.started = time.monotonic()
        self.sent = self.lost = self.tail = self.hole = None
        self.alive = False  # answers went on behind the block

    def said(self):
        """Read without moving the offset, which ping shares and writes at."""
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), size, 0).decode()

    def __enter__(self):
        until("a first answer to ping", lambda: "icmp_seq=" in self.said())
        return self

    def go_on(self, count):
        """So many answers more."""
        before = self.said().count("ttl=")
        until(f"{count} more answers", lambda: self.said().count("ttl=") >= before + count)

    def unread(self):
        """Answers that came and found no room: on a busy machine ping is late, and while it is it
        sends without reading."""
        own = {}
        with suppress(FileNotFoundError):  # it has ended
            own = sockets(self.child.pid)
        unread = sum(drops for inode, drops in socket_drops(self.child.pid) if inode in own)
        if unread:
            print(f"      ping had no room for {unread} answers: not counted as lost")
        return unread

    def __exit__(self, kind, *_exception):
        # The last request may still be on its way: ping counts it as lost, so the
        # answers that matter are those before it.
        try:
            if kind is None:
                self.go_on(3)
                self.alive = True
        except Timeout:
            pass  # check_no_loss says it
        unread = self.unread()
        self.child.send_signal(signal.SIGINT)
        self.child.wait(10)
        output = self.said()
        self.output.close()
        numbers = re.search(r"(\d+) packets transmitted, (\d+) received", output)
        check(numbers, f"ping said: {output[-300:]}")
        replies = answered(output)
        last = max(replies, default=0)
        self.sent = int(numbers[1])
        self.lost = max(last - len(replies) - unread, 0)
        self.tail = self.sent - last
        longest = max((b - a - 1 for a, b in pairwise(sorted(replies))), default=0)
        self.hole = max(longest - unread, 0) * (time.monotonic() - self.started) / max(self.sent, 1)

    def check_no_loss(self, borne=0):
        check(self.sent > 0, "no ping was sent")
        check(self.lost <= borne and (self.alive or self.tail <= 3),
              f"{self.lost} of {self.sent} pings lost, {self.tail} unanswered at the end")


def one_of_each(peer, name):
    """The peer has exactly one IKE SA and one installed CHILD_SA of that name. A peer that forgot
    one of two at our INITIAL_CONTACT does not answer our DELETE: that one ends after 18 s.

    What charon has as DELETED does not count: it was told, and forgets it delete_rekeyed_delay
    later, by a job that looks the CHILD_SA up in its IKE SA. When that is being rekeyed just then
    ("CHILD_SA {39} not found for delete" in its log), it stays until its lifetime is over."""
    def there():
        sas = peer.sas(name)
        children = [c["state"] for sa in sas for c in sa.get("child-sas", {}).values()
                    if peer.kind != "charon" or c["state"] != "DELETED"]
        return [sa["state"] for sa in sas], children

    def settled():
        ikes, children = there()
        return ikes == ["ESTABLISHED"] and len(children) == 1
    try:
        until(f"{peer.kind}: one IKE SA and one CHILD_SA of '{name}'", settled, 30)
    except Timeout as timeout:
        ikes, children = there()
        raise Timeout(f"{timeout}: there are {ikes} and {children}") from timeout
