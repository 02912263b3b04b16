#!/usr/bin/env python3
"""ipsecd between hostile neighbours: whoever stands on the path sends what he likes, and so do
clients of the vici socket, while pings run through a tunnel. Whatever comes, ipsecd lives, no
sanitizer complains, the SAs stay those that they were, no ping is lost, the drops are counted
by reason and the log does not grow with them.

    ours 172.16.1.x ---- router (the attacker) ---- 172.16.2.x theirs

Our ipsecd is built with ASan and UBSan (make SAN=1 all); IPSECD_SAN names another binary.
SEED=n repeats the random part of a run."""
import base64
import os
import random
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import ike_init, netns  # noqa: E402
from tests.support.attacker import Attacker, Capture, corpus, flips, truncations  # noqa: E402
from tests.support.ipsecd import ROOT, Ipsecd  # noqa: E402
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import settled  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402
from tests.support.vici import Vici, encode  # noqa: E402

BINARY = os.environ.get("IPSECD_SAN", os.path.join(ROOT, "build/san/bin/ipsecd"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
RNG = random.Random(SEED)
COMPLAINTS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehavior")
# Lines a second, of info and above, that anybody can cause: 10 of IKE, 5 of ESP, and ours.
LINES_PER_SECOND = 20
MARKER = bytes(4)
IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL = 35, 36, 37
SK, SKF = 46, 53


class Rig(Pair):
    """Two ipsecd through a router; the first one runs under sanitizers."""

    def __enter__(self):
        try:
            self._wire()
            self.router.route("blackhole", "default")
            # Memory that leaks can't be looked for in processes that may not be traced.
            self.ours = Ipsecd(self.namespaces[0], os.path.join(self.folder, "ours"),
                               ("--single-process",), binary=BINARY)
            self.theirs = Ipsecd(self.namespaces[1], os.path.join(self.folder, "theirs"))
            self.theirs.start([theirs for _, theirs in self.tunnels])
            self.ours.start([ours for ours, _ in self.tunnels])
            self.pacers = [Vici(peer.socket_path) for peer in (self.ours, self.theirs)]
            self.attacker = Attacker(self.router, self.pace)
        except BaseException:
            self._dump()
            self.__exit__()
            raise
        return self

    def pace(self):
        """When they answer, they have read what was sent before."""
        for control in self.pacers:
            control.request("version")

    def spis(self):
        """The tunnel's SAs and where they lead: what no attacker may change."""
        return [(sa["initiator-spi"], sa["responder-spi"], sa["remote-host"], sa["remote-port"],
                 sorted((c["spi-in"], c["spi-out"]) for c in sa["child-sas"].values()
                        if c["state"] == "INSTALLED"))
                for sa in self.ours.sas("t1") if sa["state"] == "ESTABLISHED"]

    def ends(self, port=4500):
        """Their and our end of t1's path."""
        end = self.end("t1", self.ours)
        return (end.remote, port), (end.local, port)

    def send(self, payload):
        """As the peer would: ESP or IKE on 4500, and IKE on 500."""
        theirs, ours = self.ends()
        self.attacker.send(theirs, ours, payload)
        self.attacker.send(theirs, ours, MARKER + payload)
        self.attacker.send(*self.ends(500), payload)


def lines_of(log):
    return [line for line in log.splitlines() if " debug " not in line]


def no_complaints(peer):
    check(peer.daemon.running(), f"{peer.kind} ended: {peer.log()[-3000:]}")
    log = peer.log()
    for word in COMPLAINTS:
        check(word not in log, f"a sanitizer complains: {log[log.find(word) - 200:][:3000]}")


def under(rig, attack, expected, least, flooding):
    """An attack, again and again for `least` seconds, while pings run; `expected`: counters of
    which each must have grown."""
    spis, before = rig.spis(), rig.ours.counters()
    mark, start = rig.ours.log_mark(), time.monotonic()
    check(spis, "the tunnel is up")
    with rig.pinging("t1", "0.02") as pinging:
        attack(rig)
        while time.monotonic() < start + least:
            attack(rig)
        rig.pace()
    took = time.monotonic() - start
    no_complaints(rig.ours)
    no_complaints(rig.theirs)
    pinging.check_no_loss()
    check_equal(rig.spis(), spis, "SPIs of the tunnel")
    after = rig.ours.counters()
    for name in expected:
        check(after[name] > before[name], f"{name} counts: {before[name]} -> {after[name]}")
    lines = lines_of(rig.ours.log(mark))
    if flooding:
        check(len(lines) <= LINES_PER_SECOND * (took + 2),
              f"{len(lines)} lines in {took:.1f} s: {lines[-5:]}")
    rig.ping("t1")


# ---- the wire ----

def ike_of(rig):
    """Distinct IKE messages that were captured, without the marker; and the ESP packets."""
    ike, esp = {}, []
    for source, _, _, port, payload in rig.captured:
        to_us = source == rig.ends()[0][0]
        if port == 500:
            ike[payload] = to_us
        elif payload[:4] == MARKER:
            ike[payload[4:]] = to_us
        elif 8 < len(payload) <= 1472 and to_us:  # longer: several that left as one (UDP_SEGMENT)
            esp.append(payload)
    check(len(ike) >= 10 and len(esp) >= 10, f"captured {len(ike)} of IKE, {len(esp)} of ESP")
    return list(ike), esp


def header_of(rig):
    """spi_i, spi_r of the IKE_SA in use, and the flags that its peer sends with."""
    sa = rig.ours.sas("t1")[0]
    spis = (bytes.fromhex(sa["initiator-spi"]), bytes.fromhex(sa["responder-spi"]))
    return (*spis, 0 if sa.get("initiator") == "yes" else ike_init.INITIATOR)


def message(spi_i, spi_r, first, exchange, flags, number, body, version=0x20):
    return ike_init.HEADER.pack(spi_i, spi_r, first, version, exchange, flags, number,
                                ike_init.HEADER.size + len(body)) + body


def fuzz_corpora(rig):
    for data in corpus(ROOT, "ike_message", "engine", "esp", "vici", "zapi", "ipsec_conf"):
        rig.send(data[:1400])


def replays(rig):
    ike, esp = ike_of(rig)
    theirs, ours = rig.ends()
    for _ in range(3):
        for data in ike:
            rig.send(data)
        for data in esp[:300]:
            rig.attacker.send(theirs, ours, data)
            rig.attacker.send(("172.16.1.254", 4500), ours, data)
    for data in ike:
        rig.attacker.send(("172.16.1.254", 4500), ours, MARKER + data)
        rig.attacker.send(ours, theirs, MARKER + data)


def cut_short(rig):
    ike, esp = ike_of(rig)
    for data in ike:
        for part in truncations(data, 3 if len(data) > 300 else 1):
            rig.send(part)
    for part in truncations(esp[-1]):
        rig.send(part)


def bit_flips(rig):
    ike, esp = ike_of(rig)
    for data in ike:
        for bad in flips(data, 200, RNG):
            rig.send(bad)
    for data in RNG.sample(esp, 10):
        for bad in flips(data, 200, RNG):
            rig.send(bad)
    spi_i, spi_r, flags = header_of(rig)
    for number in range(60):
        body = ike_init.payload(41, os.urandom(RNG.randrange(40, 200)))
        rig.send(message(spi_i, spi_r, SK, INFORMATIONAL, flags, number, body))


def wrong_headers(rig):
    """SPIs of nobody, versions, exchanges, flags and message IDs of all kinds, fields that
    lie about lengths; ESP with SPIs of nobody and numbers far away."""
    spi_i, spi_r, flags = header_of(rig)
    body = ike_init.payload(0, os.urandom(64))
    for value in range(256):
        rig.send(message(os.urandom(8), os.urandom(8), SK, INFORMATIONAL, value, value, body))
        rig.send(message(spi_i, spi_r, SK, INFORMATIONAL, flags, value, body, version=value))
        rig.send(message(spi_i, spi_r, SK, value, flags, value, body))
        rig.send(message(spi_i, spi_r, value, INFORMATIONAL, value, 0xffffffff - value, body))
        rig.send(message(spi_i, bytes(8), SK, IKE_AUTH, value, 1, body))
    good = message(spi_i, spi_r, SK, INFORMATIONAL, flags, 2, body)
    for length in (0, 1, 27, 28, 29, len(good) - 1, len(good) + 1, 65535, 0x7fffffff, 0xffffffff):
        rig.send(good[:24] + struct.pack("!I", length) + good[28:])
    spis = [int(c["spi-in"], 16) for sa in rig.ours.sas("t1") for c in sa["child-sas"].values()]
    theirs, ours = rig.ends()
    for spi in spis + [1, 255, 256, 0xffffffff]:
        for seq in (0, 1, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff):
            rig.attacker.send(theirs, ours, struct.pack("!II", spi, seq) + os.urandom(92))


def odd_sizes(rig):
    """Empty, tiny, and as large as UDP can be, from an address of the attacker's own."""
    ike, esp = ike_of(rig)
    _, (ours, _) = rig.ends()
    with netns.udp_socket(rig.router, "172.16.1.254") as sock:
        for size in (0, 1, 2, 3, 4, 5, 27, 28, 29, 1472, 8192, 65507):
            for start in (ike[0], MARKER + ike[-1], esp[0], b"\xff" * 40, bytes(40)):
                for port in (500, 4500):
                    data = (start + bytes(size))[:size]
                    sock.sendto(data, (ours, port))
                    if len(data) > 28:  # with a length that agrees
                        sock.sendto(data[:24] + struct.pack("!I", size) + data[28:], (ours, port))
            rig.pace()


def fragments(rig):
    """IP fragments: whole in pieces of 8 bytes, out of order, twice, and never completed; IKE
    fragments (RFC 7383), which we never asked for."""
    ike, esp = ike_of(rig)
    theirs, ours = rig.ends()
    for data in ike[:4] + esp[:4]:
        n = (len(data) + 8 + 15) // 16
        rig.attacker.send_fragments(theirs, ours, data, 16)
        rig.attacker.send_fragments(theirs, ours, data, 16, list(reversed(range(n))))
        rig.attacker.send_fragments(theirs, ours, data, 16, [0, 0, 1, 1, n - 1])
        rig.attacker.send_fragments(theirs, ours, data, 16, [n - 1])
    spi_i, spi_r, flags = header_of(rig)
    for number in range(8):
        for total in range(8):
            body = ike_init.payload(35, struct.pack("!HH", number, total) + os.urandom(120))
            for exchange in (IKE_AUTH, INFORMATIONAL):
                rig.send(message(spi_i, spi_r, SKF, exchange, flags, 1, body))
                rig.send(message(os.urandom(8), bytes(8), SKF, exchange, 8, 1, body))


def answers_to_nothing(rig):
    spi_i, spi_r, flags = header_of(rig)
    for number in range(100):
        for exchange in (34, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL):
            body = ike_init.payload(41, os.urandom(80))
            rig.send(message(spi_i, spi_r, SK, exchange, flags | ike_init.RESPONSE, number, body))
    notify = ike_init.payload(0, struct.pack("!BBH", 0, 0, 24))  # AUTHENTICATION_FAILED, bare
    for exchange in (34, IKE_AUTH, INFORMATIONAL):
        for response in (0, ike_init.RESPONSE):
            rig.send(message(spi_i, spi_r, 41, exchange, flags | response, 2, notify))


# ---- floods ----

def rss(peer):
    with open(f"/proc/{peer.daemon.child.pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) // 1024


def anybody():
    return f"198.18.{RNG.randrange(256)}.{RNG.randrange(1, 255)}", RNG.randrange(1024, 65536)


def half_open(peer):
    return int(peer.control.request("stats")["ikesas"]["half-open"])


def init_flood(rig):
    """IKE_SA_INIT from everywhere: cookies stop it, and a peer that returns his gets through."""
    ours = rig.end("strangers", rig.ours).local
    start = rss(rig.ours)

    enough = threading.Event()

    def flood():
        sent = 0
        while sent < 40000 or not enough.is_set():
            rig.attacker.send(anybody(), (ours, 500), ike_init.request())
            sent += 1

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        until("cookies are asked for", lambda: rig.ours.counters()["drop-cookie"] > 100)
        with rig.up("t2", rig.theirs):
            pass
    finally:
        enough.set()
        thread.join()
    check(half_open(rig.ours) <= 40, f"{half_open(rig.ours)} half-open IKE_SAs")
    check(rss(rig.ours) < start + 32, f"resident memory: {start} -> {rss(rig.ours)} MB")


def auth_garbage(rig):
    """IKE_SA_INITs that are answered, and then an IKE_AUTH that nobody can read."""
    ours = rig.end("strangers", rig.ours).local
    with netns.udp_socket(rig.router, "172.16.1.254") as sock:
        for _ in range(30):
            sock.sendto(ike_init.request(), (ours, 500))
            spi_i, spi_r = struct.unpack("!8s8s", sock.recv(4096)[:16])
            for size in (0, 1, 16, 17, 40, 300):
                body = ike_init.payload(35, os.urandom(size))
                for exchange in (IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL):
                    sock.sendto(message(spi_i, spi_r, SK, exchange, ike_init.INITIATOR, 1, body),
                                (ours, 500))
            rig.pace()
    check_equal(half_open(rig.ours), 30, "half-open IKE_SAs, which garbage does not end")


# ---- clients of the socket ----

def connect(rig):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(rig.ours.socket_path)
    sock.settimeout(5)
    return sock


def garbage_clients(rig):
    """Each sends something that is no vici, or only a part of it."""
    request = struct.pack("!IBB", 9, 0, 7) + b"version"
    bad = [os.urandom(n) for n in (1, 4, 5, 64, 4096)]
    bad += [struct.pack("!I", n) for n in (0, 1, 1 << 19, 1 << 31, 0xffffffff)]
    bad += [struct.pack("!I", 2 + n) + bytes([n, 200]) for n in range(10)]
    bad += corpus(ROOT, "vici", "vici_load_conn")
    bad += truncations(request) + flips(request, 100, RNG)
    body = encode({"a": {"b": ["c", "d"], "e": "f"}, "ike": "t1", "timeout": "-1"})
    for name in (b"load-conn", b"list-sas", b"get-counters", b"initiate", b"load-shared"):
        whole = bytes([0, len(name)]) + name + body
        bad += [struct.pack("!I", n) + whole[:n] for n in range(1, len(whole))]
    for data in bad:
        with connect(rig) as sock:
            try:
                sock.sendall(data)
            except OSError:
                continue  # it was dropped while it sent


def crowd(rig):
    """300 at once; those beyond the limit are turned away, and make room when they go."""
    socks = [connect(rig) for _ in range(300)]
    rig.ping("t1")
    rig.pace()
    for sock in socks:
        sock.close()
    until("there is room again", lambda: not refused(rig))


def refused(rig):
    control = Vici(rig.ours.socket_path, 2)
    try:
        control.request("version")
        return False
    except OSError:
        return True
    finally:
        control.close()


def deaf_clients(rig):
    """They ask for all there is, and for all that happens, and never read."""
    socks = [connect(rig) for _ in range(20)]
    for sock in socks:
        sock.settimeout(0.2)
        try:
            for event in (b"list-sa", b"list-conn", b"log", b"child-updown", b"ike-updown"):
                sock.sendall(struct.pack("!IBB", 2 + len(event), 3, len(event)) + event)
            for _ in range(20000):
                sock.sendall(struct.pack("!IBB", 10, 0, 8) + b"list-sas")
        except OSError:
            pass  # its queue is full: they are not read while an answer waits
    for _ in range(30):
        rig.send(os.urandom(60))  # lines for the log
        check(rig.ours.sas("t1"), "others are served")
    for sock in socks:
        sock.close()


# ---- what they must not tell ----

def no_secret_in_logs(rig):
    for name in ("t1", "t2"):
        secret = rig.end(name, rig.ours).secret.encode()
        forms = [secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"="),
                 secret.hex(" ").encode(), secret.hex().upper().encode()]
        for peer in (rig.ours, rig.theirs):
            log = peer.log().encode()
            for form in forms:
                check(form not in log, f"{peer.kind}'s log has the secret of {name}")


def files_are_private(rig):
    mode = os.stat(rig.ours.socket_path).st_mode
    check_equal(mode & 0o007, 0, "access of others to the vici socket")
    with open(f"/proc/{rig.ours.daemon.child.pid}/cmdline", "rb") as argv:
        check(b"secret of" not in argv.read(), "a secret in argv")


def ends_well(rig):
    """Leaks are reported at the end; so is anything else that went wrong silently."""
    for control in (rig.ours.control, *rig.pacers):
        control.close()
    rig.ours.control = None
    status = rig.ours.daemon.stop(20)
    log = rig.ours.log()
    check(not any(word in log for word in COMPLAINTS), f"a sanitizer complains: {log[-6000:]}")
    check_equal(status, 0, "exit status of ipsecd")


def capture(rig):
    """What two peers really say: bringing up, rekeys, liveness, packets."""
    with Capture(rig.router, "eth1") as seen:
        rig.ours.initiate("t1")
        rig.both_up("t1")
        rig.ping("t1", 60)
        for rekey in (rig.ours.rekey_child, rig.ours.rekey_ike, rig.theirs.rekey_child,
                      rig.theirs.rekey_ike, rig.theirs.rekey_child, rig.theirs.rekey_child):
            before = rig.spis()
            rekey("t1")
            until("another SA", lambda before=before: before != rig.spis())
            settled(rig, "t1")
        rig.ping("t1", 60)
    rig.captured = seen.seen
    ike_of(rig)


def main():
    suite = Suite("hostile")
    check(os.path.exists(BINARY), f"{BINARY} is missing: make SAN=1 all")
    print(f"hostile: SEED={SEED}", flush=True)
    # Reports end the process; freed memory is kept for a while, but not much of it.
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=1:quarantine_size_mb=8")
    one = tunnel("t1", 1, dpd=2)
    two = tunnel("t2", 2)
    strangers = change(tunnel("strangers", 3)[0], remote="%any")
    with Rig([one, two, (strangers, tunnel("strangers", 3)[1])], routed=True) as rig:
        both = (rig.ours, rig.theirs)

        def attack(name, function, *expected, least=1.5, flooding=True):
            suite.case(name, under, rig, function, expected, least, flooding, logs=both)

        suite.case("capture", capture, rig, logs=both)
        attack("IKE_AUTH garbage", auth_garbage, "drop-integrity", least=0)
        attack("fuzz corpora", fuzz_corpora, "drop-malformed", "esp-drop-unknown-spi")
        attack("replays", replays, "drop-unknown-spi", "esp-drop-replay", "drop-window")
        attack("cut short", cut_short, "drop-malformed", "esp-drop-malformed")
        attack("bit flips", bit_flips, "drop-integrity", "esp-drop-icv")
        attack("wrong headers", wrong_headers, "drop-version", "drop-unknown-spi",
               "esp-drop-unknown-spi", "esp-drop-icv")
        attack("odd sizes", odd_sizes, "drop-malformed")
        attack("fragments", fragments, "drop-malformed")
        attack("answers to nothing", answers_to_nothing, "drop-integrity")
        attack("IKE_SA_INIT flood", init_flood, "drop-cookie", least=0)
        attack("garbage clients", garbage_clients, least=0, flooding=False)
        attack("300 clients", crowd, least=0, flooding=False)
        attack("deaf clients", deaf_clients, least=0, flooding=False)
        suite.case("no secret in the logs", no_secret_in_logs, rig)
        suite.case("files are private", files_are_private, rig)
        suite.case("ends well", ends_well, rig, logs=both)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
