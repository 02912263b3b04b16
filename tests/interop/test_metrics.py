#!/usr/bin/env python3
"""ipsecd's metrics: a strict parser reads them, they agree with ipsecctl and vici, and HTTP
clients, slow or hostile, never disturb the daemon.
"""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import metrics, netns  # noqa: E402
from tests.support.ipsecd import BINARY, ROOT  # noqa: E402
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

IPSECCTL = os.path.join(os.path.dirname(BINARY), "ipsecctl")
PORT = 9433


def read(pair):
    return metrics.read(pair.ours.namespace, PORT)


def wait(pair, what, condition):
    return metrics.until_metrics(what, pair.ours.namespace, PORT, condition)


def status(pair):
    done = subprocess.run([IPSECCTL, "--vici", pair.ours.socket_path, "status", "--json"],
                          text=True, capture_output=True, check=False, timeout=60)
    return json.loads(done.stdout)


def text_and_build(pair):
    """HEAD, the other paths and methods; the version and the plane as ipsecctl says."""
    for text, wanted in (("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
                         ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
                         ("GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
                         ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 405)):
        got, headers, body = metrics.request(pair.ours.namespace, PORT, text)
        check_equal(got, wanted, text.split("\r")[0])
        check(text[0] != "H" or not body, "HEAD has no body")
        check_equal(headers["connection"], "close", "one request a connection")
    seen = read(pair)
    plane = status(pair)["dataplane"]
    version = subprocess.run([BINARY, "--version"], text=True, capture_output=True,
                             check=True).stdout.split()[1]
    check_equal(seen["ipsecd_build_info"],
                [({"version": version, "plane": plane["name"], "plane_why": plane["why"]}, 1)],
                "build")
    pid = pair.ours.roles().get("ike", pair.ours.daemon.child.pid)  # who makes the text
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        rss = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))
    shown = seen.value("process_resident_memory_bytes")
    check(0.5 * rss < shown < 2 * rss, f"RSS: {shown}, the kernel says {rss}")
    check(abs(seen.value("process_start_time_seconds") - time.time()) < 600, "start")


def counts(pair):
    """a is up, b's key is wrong, c is only loaded, d's peer does not answer."""
    seen = wait(pair, "the reasons", lambda m: m.value("ipsecd_tunnels_up") == 1 and
                m.value("ipsecd_tunnel_failures_total", conn="d"))
    check_equal([seen.value(f"ipsecd_tunnels_{word}")
                 for word in ("configured", "expected", "up", "missing", "without_detail")],
                [4, 3, 1, 2, 0], "tunnels")
    told = {c["name"]: c for c in status(pair)["connections"]}
    for name, expected in (("a", 1), ("b", 1), ("c", 0), ("d", 1)):
        check_equal(seen.value("ipsecd_tunnel_expected", conn=name), expected, name)
        check_equal(seen.value("ipsecd_tunnel_up", conn=name), int(told[name]["state"] == "up"),
                    name)
        sas = told[name].get("sas", [])
        check_equal(seen.value("ipsecd_tunnel_ike_sas", conn=name),
                    sum(sa["state"] == "ESTABLISHED" for sa in sas), f"IKE_SAs of {name}")
    reasons = {labels["conn"]: labels["reason"]
               for labels, _ in seen["ipsecd_tunnel_down_reason"]}
    check_equal(reasons, {"b": "authentication failed", "c": "not started", "d": "no answer"},
                "reasons")
    info = {labels["conn"]: labels for labels, _ in seen["ipsecd_tunnel_info"]}
    check(info["a"].pop("offloads").startswith("vnet-hdr"), "offloads")
    check_equal(info["a"], {"conn": "a", "peer": "theirs-1.example", "interface": "tun1",
                            "kind": "tun", "auto": "start"}, "info")
    check_equal(info["c"]["auto"], "add", "auto")
    wait(pair, "b waits for its next attempt", lambda m: m.value(
        "ipsecd_tunnel_next_attempt_seconds", conn="b") is not None)
    check(seen.value("ipsecd_tunnel_next_attempt_seconds", conn="a") is None, "none for a")


def failures(pair):
    seen = wait(pair, "b fails", lambda m: m.value("ipsecd_tunnel_failures_total", conn="b"))
    check(seen.value("ipsecd_ike_failures_total", reason="authentication failed") >= 1, "b")
    check(seen.value("ipsecd_ike_failures_total", reason="no answer") >= 1, "d")
    check(seen.value("ipsecd_ike_error_notifies_total", type="AUTHENTICATION_FAILED",
                     direction="in") >= 1, "the peer says so")
    check_equal(seen.value("ipsecd_ike_error_notifies_total", type="TS_UNACCEPTABLE",
                           direction="in"), 0, "another notify")
    check(seen.value("ipsecd_authentication_failures_total") >= 1, "authentication")
    check(seen.value("ipsecd_ike_retransmits_total", direction="out") >= 1, "to d")
    check_equal(seen.value("ipsecd_handshake_seconds", "_count", role="initiator"), 1, "a alone")
    check(0 < seen.value("ipsecd_handshake_seconds", "_sum", role="initiator") < 20, "seconds")


def lifetimes(pair):
    sa = pair.ours.sas("a")[0]
    child = next(iter(sa["child-sas"].values()))
    seen = read(pair)
    for name, wanted in (("ike_rekey", sa["rekey-time"]), ("child_rekey", child["rekey-time"]),
                         ("child_lifetime", child["life-time"])):
        got = seen.value(f"ipsecd_tunnel_{name}_seconds", conn="a")
        check(abs(got - int(wanted)) < 15, f"{name}: {got}, list-sas has {wanted}")
    check(seen.value("ipsecd_tunnel_link_age_seconds", conn="a") >= 0, "age")
    check(seen.value("ipsecd_tunnel_child_rekey_seconds", conn="c") is None, "none for c")


def traffic_of(pair):
    children = [c for sa in pair.ours.sas("a") for c in sa["child-sas"].values()]
    return {word: sum(int(c[word]) for c in children)
            for word in ("bytes-in", "bytes-out", "packets-in", "packets-out")}


WORDS = {"bytes-in": "receive_bytes", "bytes-out": "transmit_bytes",
         "packets-in": "receive_packets", "packets-out": "transmit_packets"}


def shown(seen):
    return {word: seen.value(f"ipsecd_tunnel_{name}_total", conn="a")
            for word, name in WORDS.items()}


def ping_exactly(pair, count):
    """With -w, as pair.ping() has it, ping sends one more when an answer is late."""
    ours = pair.end("a", pair.ours)
    pair.ours.namespace.run("ping", "-n", "-c", str(count), "-i", "0.02", "-I",
                            ours.inside[0].split("/")[0], ours.ping[0], check=False)


def traffic(pair):
    """The same as list-sas; and what a replaced CHILD_SA carried stays in the sum."""
    pair.ping("a", 20)
    pair.transfer("a", 300000)
    before = {}

    def has_settled(m):
        """The stream's last acknowledgements may have been on their way at the last look."""
        nonlocal before
        last, before = before, traffic_of(pair)
        return last == before == shown(m)

    seen = wait(pair, "its traffic", has_settled)
    check(before["packets-in"] >= 20 and before["bytes-out"] > 300000, f"traffic: {before}")
    check_equal(seen.value("ipsecd_tunnel_rekeys_total", conn="a", sa="child"), 0, "rekeys")
    pair.ours.rekey_child("a")
    until("one CHILD_SA is left", lambda: [
        len(sa["child-sas"]) for sa in pair.ours.sas("a")] == [1], 20)
    check(traffic_of(pair)["packets-out"] < before["packets-out"], "a new CHILD_SA counts anew")
    ping_exactly(pair, 7)
    seen = wait(pair, "7 packets more", lambda m: all(
        shown(m)[word] == before[word] + 7 for word in ("packets-out", "packets-in")))
    check_equal(seen.value("ipsecd_tunnel_rekeys_total", conn="a", sa="child"), 1, "rekeys")
    pair.ours.rekey_ike("a")
    wait(pair, "the IKE_SA's rekey",
         lambda m: m.value("ipsecd_tunnel_rekeys_total", conn="a", sa="ike") == 1 and
         m.value("ipsecd_ike_rekeys_total", role="initiator") == 1)


def counters(pair):
    """The daemon's own counters, as get-counters has them; a packet from nowhere is among them."""
    before = read(pair)
    with netns.udp_socket(pair.theirs.namespace, "172.16.2.1") as sock:
        for number in range(5):
            sock.sendto(b"\xde\xad\xbe\xef" + bytes([0, 0, 0, number]) + bytes(60),
                        ("172.16.1.1", 4500))
        sock.sendto(os.urandom(60), ("172.16.1.1", 500))
    drops, refused = "ipsecd_esp_drops_total", "ipsecd_ike_drops_total"
    seen = wait(pair, "5 unknown SPIs and the random datagram", lambda m: m.value(
        drops, reason="unknown-spi") == before.value(drops, reason="unknown-spi") + 5 and
        sum(v for _, v in m[refused]) > sum(v for _, v in before[refused]))
    told = pair.ours.counters()
    for labels, value in seen[drops]:
        check_equal(value, told[f"esp-drop-{labels['reason']}"], f"ESP {labels}")
    for labels, value in seen[refused]:
        check_equal(value, told[f"drop-{labels['reason']}"], f"IKE {labels}")
    check_equal(seen.value("ipsecd_esp_held_total"), told["esp-held"], "ESP before its CHILD_SA")
    check_equal(seen.value("ipsecd_ike_messages_total", exchange="CREATE_CHILD_SA",
                           direction="out", kind="request"), told["create-child-out-req"],
                "CREATE_CHILD_SA")
    check_equal(seen.value("ipsecd_child_rekeys_total"), told["child-rekey"], "rekeys")
    check(seen.value("ipsecd_udp_datagrams_total", event="received") > 10, "datagrams")
    check(seen.value("ipsecd_vici_connections_total") >= 1, "this test")


def taken_down(pair):
    """By command, and by an operator's ip link set down."""
    def reason(m):
        return [labels["reason"] for labels, _ in m["ipsecd_tunnel_down_reason"]
                if labels["conn"] == "a"]
    pair.ours.namespace.ip("link", "set", "tun1", "down")
    seen = wait(pair, "the device is down", reason)
    check_equal(reason(seen), ["the device was set down"], "why")
    check_equal(seen.value("ipsecd_tunnel_up", conn="a"), 0, "not up")
    pair.ours.namespace.ip("link", "set", "tun1", "up")
    pair.ours.namespace.route("10.2.1.0/24", "dev", "tun1")  # it went with the link
    wait(pair, "the device is up", lambda m: not reason(m))
    downs = seen.value("ipsecd_tunnel_link_changes_total", conn="a", to="down")
    pair.ours.terminate("a")
    seen = wait(pair, "a is down", lambda m: m.value("ipsecd_tunnels_up") == 0)
    check_equal(reason(seen), ["taken down by command"], "why")
    check_equal(seen.value("ipsecd_tunnel_expected", conn="a"), 0, "it is not expected")
    check_equal(seen.value("ipsecd_tunnel_link_changes_total", conn="a", to="down"), downs + 1,
                "changes")
    check(seen.value("ipsecd_sa_ends_total", sa="child", reason="command") >= 1, "ends")
    pair.ours.initiate("a")
    wait(pair, "a is up", lambda m: m.value("ipsecd_tunnel_up", conn="a") == 1)


def hostile(pair):
    """500 connections that say nothing, half a word, a byte now and then, or ask and do not read:
    the tunnel loses nothing, vici answers, others are served, and no descriptor stays."""
    namespace = pair.ours.namespace
    base = read(pair).value("process_open_fds")
    sockets, worst = [], 0.0
    with pair.pinging("a") as pings:
        for number in range(500):
            sock = metrics.connect(namespace, PORT)
            sockets.append(sock)
            try:
                if number % 4 == 1:
                    sock.sendall(b"GET /metrics HTT")
                elif number % 4 == 2:
                    sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                elif number % 4 == 3:
                    sock.sendall(b"\x16\x03\x01" + bytes(2000))
                    sockets[number // 2].sendall(b"y")
            except OSError:
                pass  # it was sent away
            if number % 100 == 99:
                start = time.monotonic()
                seen = read(pair)
                check(len(pair.ours.sas("a")) == 1, "vici answers")
                worst = max(worst, time.monotonic() - start)
                check(seen.value("process_open_fds") <= base + 70, "descriptors")
    pings.check_no_loss()
    check(worst < 5, f"others wait for {worst:.2f} s")
    for sock in sockets:
        sock.close()
    wait(pair, "descriptors are closed", lambda m: m.value("process_open_fds") <= base + 1)


def reload_of(pair, setup):
    mark = pair.ours.log_mark()
    pair.ours.setup = setup
    pair.ours.write_ends(pair.ours.ends)
    pair.ours.daemon.kill(signal.SIGHUP)
    return mark


def address(pair):
    """Another one by a reload; one that is taken, until it is free; none; and errors."""
    namespace = pair.ours.namespace
    reload_of(pair, f"metrics=[::1]:{PORT}")
    until("it is served there", lambda: _served(namespace, "::1"))
    check(not _served(namespace, "127.0.0.1"), "and not here any more")
    with netns.socket_of(namespace, 2, 1) as other:
        other.bind(("127.0.0.1", PORT + 1))
        other.listen()
        mark = reload_of(pair, f"metrics=127.0.0.1:{PORT + 1}")
        line = pair.ours.wait_log("can't be listened on", mark)
        check(f"127.0.0.1:{PORT + 1}" in line and "Address already in use" in line, line)
        check(len(pair.ours.sas("a")) == 1, "the tunnel lives on")
    until("it is free", lambda: _served(namespace, "127.0.0.1", PORT + 1), 20)
    mark = reload_of(pair, "metrics=nowhere")
    pair.ours.wait_log("expected ADDRESS:PORT", mark)
    seen = metrics.read(namespace, PORT + 1)
    seen = metrics.until_metrics("the failed reload", namespace, PORT + 1, lambda m: m.value(
        "ipsecd_config_last_reload_successful") == 0)
    check_equal(seen.value("ipsecd_config_reloads_total", result="failure"), 1, "failures")
    mark = reload_of(pair, "metrics=172.16.1.1:80")
    pair.ours.wait_log("whoever reaches 172.16.1.1:80 can read", mark)
    pair.ours.wait_log("a port from 1024 on needs no privilege", mark)
    reload_of(pair, f"metrics=172.16.1.1:{PORT}")
    until("it is served outside", lambda: _served(pair.theirs.namespace, "172.16.1.1"))
    reload_of(pair, "metrics=no")
    until("it is off", lambda: not _served(namespace, "172.16.1.1"))
    reload_of(pair, f"metrics=127.0.0.1:{PORT}")
    until("it is on", lambda: _served(namespace, "127.0.0.1"))
    pair.ping("a")


def _served(namespace, where, port=PORT):
    try:
        return bool(metrics.read(namespace, port, where))
    except OSError:
        return False


def documented(pair):
    """docs/metrics.md has each family of the output with its type, and no others."""
    metrics.check_documented(os.path.join(ROOT, "docs/metrics.md"), read(pair), "ipsecd")


def tunnels():
    first, second, third, fourth = (tunnel(name, n + 1) for n, name in enumerate("abcd"))
    wrong = change(second[0], secret="wrong", auto="start")
    silent = change(fourth[0], remote="172.16.3.1", auto="start",
                    extra=("retransmit-timeout=1s",))
    return [(change(first[0], auto="start"), first[1]), (wrong, second[1]), third,
            (silent, fourth[1])]


def main():
    suite = Suite("metrics")
    with Pair(tunnels(), setup=f"metrics=127.0.0.1:{PORT}") as pair:
        pair.both_up("a")
        pair.ping("a")
        for name, case in (("text and build", text_and_build), ("counts and reasons", counts),
                           ("failures and handshakes", failures), ("lifetimes", lifetimes),
                           ("traffic over rekeys", traffic), ("counters", counters),
                           ("taken down", taken_down), ("hostile clients", hostile),
                           ("address", address), ("documented", documented)):
            suite.case(name, case, pair, logs=(pair.ours,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
