#!/usr/bin/env python3
"""Local repair against real zebra and bgpd (with its BMP module): tests/support/triangle.py.
What is asserted is what must be so on any machine: order, and that nothing is lost or left;
milliseconds are printed."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import metrics, netns  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.triangle import Monitor, Triangle, lan, lan6  # noqa: E402

REPAIR = "zebra"  # the kernel's protocol of a route of type table


def repair_came_first(monitor, start, prefix=lan("b")):
    """The kernel had our route, then bgpd's; prints when."""
    until("bgpd's own way around", lambda: monitor.first(prefix, "tun-ac", "proto bgp"), 20)
    ours = monitor.first(prefix, "tun-ac", f"proto {REPAIR}")
    bgp = monitor.first(prefix, "tun-ac", "proto bgp")
    check(ours and ours < bgp, f"repair at {ours}, bgpd at {bgp}")
    print(f"      {monitor.router.name}: repaired after {(ours - start) * 1000:.1f} ms, "
          f"bgpd's route in the kernel after {(bgp - start) * 1000:.1f} ms")
    check(ours - start < 2, f"the repair took {ours - start:.2f} s")


def announce_down(t):
    """The word first, the device's state once it was acted upon: bgpd, which acts by the latter,
    would be first where a busy machine lets the bridge wait."""
    t.announce("ab", False)
    for site, other, link in (("a", "b", "ac"), ("b", "a", "bc")):
        t.routers[site].wait_over(lan(other), link, REPAIR)
    t.state("ab", "dormant")


def announced():
    """Packets still pass while the devices are DORMANT: none is lost, either way."""
    with Triangle() as t:
        a, b = t.routers["a"], t.routers["b"]
        t.wait_converged()
        monitors = [Monitor(a), Monitor(b)]
        try:
            with t.probe() as seen:
                start = time.time()
                announce_down(t)
                repair_came_first(monitors[0], start)
                until("B's, too", lambda: monitors[1].first(lan("a"), "proto bgp", "tun-bc"), 20)
                check(monitors[1].first(lan("a"), f"proto {REPAIR}"), "B has repaired, too")
                for router in (a, b):
                    router.wait_no_repair()
                a.wait_over(lan("b"), "ac")
                b.wait_over(lan("a"), "bc")
                a.wait_over(lan6("b"), "ac")
                t.state("ab", "up")
                t.announce("ab", True)
                a.wait_over(lan("b"), "ab", timeout=30)
                b.wait_over(lan("a"), "ab", timeout=30)
        finally:
            for monitor in monitors:
                monitor.stop()
        check_equal(seen["lost"], 0, f"lost of {seen['sent']}")


def dead_at_once():
    with Triangle() as t:
        a = t.routers["a"]
        t.wait_converged()
        monitor = Monitor(a)
        try:
            with t.probe() as seen:
                start = time.time()
                t.cut("ab")
                cut = time.time()
                announce_down(t)
                repair_came_first(monitor, cut)
                a.wait_no_repair()
                a.wait_over(lan("b"), "ac")
                counted(a)
        finally:
            monitor.stop()
        print(f"      lost {seen['lost']} of {seen['sent']}, {(cut - start) * 1000:.0f} ms of it "
              "for the cut itself")


def counted(router):
    """The failover in metrics and --status, once it is over."""
    seen = metrics.until_metrics("the failover is counted", router.ns, 9434, lambda m: m.value(
        "routed_bridge_repairs_active") == 0 and
        m.value("routed_bridge_repairs_ended_total", reason="converged"))
    begun = sum(value for _, value in seen["routed_bridge_repairs_begun_total"])
    ended = sum(value for _, value in seen["routed_bridge_repairs_ended_total"])
    check(begun == ended >= 1, f"{begun} begun, {ended} ended")
    for name in ("install", "duration"):
        name = f"routed_bridge_repair_{name}_seconds"
        count, total = seen.value(name, "_count"), seen.value(name, "_sum")
        check(1 <= count <= begun and 0 < total < 60 * count, f"{name}: {count} in {total} s")
    install, lasted = (seen.value(f"routed_bridge_repair_{name}_seconds", "_sum")
                       for name in ("install", "duration"))
    check(install <= lasted, f"confirmed after {install} s, over after {lasted} s")
    check_equal(seen.value("routed_bridge_bmp_connected"), 1, "BMP")
    check(seen.value("routed_bridge_paths") > 0, "paths")
    found = router.status()
    check_equal((found["repair"]["begun"], found["repair"]["active"]), (begun, 0), "--status")
    check_equal(found["paths"]["source"], "bmp", "source of paths")


def suspected(t, reason="suspicion"):
    """A is told that its tunnel to B is down; bgpd is not."""
    t.routers["a"].announce("ab", False, reason)
    t.routers["a"].wait_over(lan("b"), "ac", REPAIR)
    t.routers["a"].wait_over(lan6("b"), "ac", REPAIR)


def taken_back():
    """While BGP has not moved the repair stays; when the tunnel is back it goes, with no loss."""
    with Triangle() as t:
        a = t.routers["a"]
        t.wait_converged()
        with t.probe() as seen:
            suspected(t)
            asked = time.monotonic() + 0.6  # the bridge asks zebra meanwhile
            until("zebra was asked", lambda: time.monotonic() > asked)
            check(a.over(lan("b"), "ac", REPAIR), "the repair stays")
            a.announce("ab", True)
            a.wait_over(lan("b"), "ab")
            a.wait_over(lan6("b"), "ab")
            a.wait_no_repair()
        check_equal(seen["lost"], 0, f"lost of {seen['sent']}")


def a_suspicion():
    """ipsecd's early word (ICMP, a pulled cable): repaired at once, taken back when the peer
    answers; a verdict takes its place. Nothing is lost, and no claim is touched."""
    with Triangle() as t:
        a = t.routers["a"]
        t.wait_converged()
        monitor = Monitor(a)
        try:
            with t.probe() as seen:
                start = time.time()
                a.vici.suspect("ab", False)
                a.wait_over(lan("b"), "ac", REPAIR)
                repaired = until("the monitor has it", lambda: monitor.first(
                    lan("b"), "tun-ac", f"proto {REPAIR}"))
                print(f"      repaired {(repaired - start) * 1000:.1f} ms after the suspicion")
                a.vici.suspect("ab", True)
                a.wait_over(lan("b"), "ab")
                a.wait_no_repair()
                a.vici.suspect("ab", False)
                a.wait_over(lan("b"), "ac", REPAIR)
                t.announce("ab", False)
                t.state("ab", "dormant")
                a.wait_no_repair()
                a.wait_over(lan("b"), "ac")
        finally:
            monitor.stop()
        check_equal(seen["lost"], 0, f"lost of {seen['sent']}")


def the_alternative_goes():
    """C loses its way to B: its path is withdrawn, and nothing of A's repair is left."""
    with Triangle() as t:
        a = t.routers["a"]
        t.wait_converged()
        suspected(t)
        t.announce("bc", False)
        t.state("bc", "dormant")
        a.wait_no_repair()
        a.wait_over(lan("b"), "ab")
        a.wait_log("no alternative")


def zebra_restarts():
    """Nothing of a repair is left in the kernel by a zebra that was killed."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        with Triangle() as t:
            a = t.routers["a"]
            t.wait_converged()
            suspected(t)
            a.frr.stop("bgpd")
            a.frr.stop("zebra", sig)
            a.announce("ab", True)
            a.frr.start("zebra")
            a.frr.start("bgpd")
            a.wait_over(lan("b"), "ab", timeout=30)
            a.wait_over(lan6("b"), "ab", timeout=30)
            a.wait_no_repair()
            suspected(t)


def bridge_ends():
    """However it ends, zebra takes the repairs out."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        with Triangle() as t:
            a = t.routers["a"]
            t.wait_converged()
            with t.probe() as seen:
                suspected(t)
                bridge, a.bridge = a.bridge, None
                bridge.kill(sig)
                bridge.stop()
                a.wait_over(lan("b"), "ab")
                a.wait_over(lan6("b"), "ab")
                a.wait_no_repair()
            check_equal(seen["lost"], 0, f"lost of {seen['sent']}")


def turns_of(router):
    """The kernel's rules of U-turns, and a setting that they need off."""
    rules = router.ns.ip("rule", "show")
    with_turns = [line for line in rules.splitlines() if line.startswith("4747:")]
    return len(with_turns), router.ns.run("cat", "/proc/sys/net/ipv4/conf/tun-ab/send_redirects")


def turns_end():
    """Rules and settings of U-turns go with the bridge, or with the next one."""
    with Triangle(config="repair yes\nrepair-uturn yes\n") as t:
        a = t.routers["a"]
        t.wait_converged()
        before = 0, "1\n"
        until("turns are there", lambda: turns_of(a) == (2, "0\n"), 20)
        bridge, a.bridge = a.bridge, None
        check_equal(bridge.stop(), 0, "the bridge's end")
        check_equal(turns_of(a), before, "behind it")
        a.start_bridge()
        until("turns are there again", lambda: turns_of(a) == (2, "0\n"), 20)
        until("without an ICMP error, which would end connections", lambda: "blackhole 10." in
              a.ns.run("ip", "route", "show", "table", "all"), 20)
        a.bridge.kill(signal.SIGKILL)
        a.bridge.stop()
        check_equal(turns_of(a)[1], "0\n", "behind a bridge that was killed")
        a.bridge = None
        a.config = "repair no\n"
        a.start_bridge()
        until("they were swept", lambda: turns_of(a) == before, 20)
        # Also where nothing tells of a former bridge.
        bridge, a.bridge = a.bridge, None
        bridge.stop()
        a.ns.ip("rule", "add", "priority", "4747", "protocol", "69", "iif", "tun-ab", "lookup",
                "47470001")
        check_equal(turns_of(a)[0], 1, "a rule that was left")
        a.start_bridge()
        until("it was swept", lambda: turns_of(a) == before, 20)


def switch_off_and_on(a):
    path = f"{a.dir}/bridge.conf"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("repair yes", "repair no"))
    a.bridge.kill(signal.SIGHUP)
    a.wait_over(lan("b"), "ab")
    a.wait_no_repair()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    a.bridge.kill(signal.SIGHUP)
    a.wait_over(lan("b"), "ac", REPAIR)


def switched_off():
    """What is said of a tunnel while repairs are off, or was before, counts when they are on."""
    with Triangle() as t:
        a = t.routers["a"]
        t.wait_converged()
        suspected(t)
        switch_off_and_on(a)
        a.announce("ab", True)
        a.wait_over(lan("b"), "ab")
        a.wait_no_repair()
        a.vici.suspect("ab", False)
        a.wait_over(lan("b"), "ac", REPAIR)
        switch_off_and_on(a)


def without_bmp():
    """bgpd is asked on its vty socket for what its peers have said."""
    with Triangle(bmp=False) as t:
        t.wait_converged()
        suspected(t)


def never_passed_on():
    """C does not hear of A's repair, and who redistributes its type is told."""
    with Triangle() as t:
        a, c = t.routers["a"], t.routers["c"]
        t.wait_converged()
        before = c.frr.vty("bgpd", "show bgp ipv4 unicast neighbors 10.255.1.0 routes")
        suspected(t)
        time.sleep(0.3)  # as long as an update would need; none may come
        check_equal(c.frr.vty("bgpd", "show bgp ipv4 unicast neighbors 10.255.1.0 routes"), before,
                    "what A says to C")
        a.frr.vty("bgpd", "configure terminal", "router bgp 65001", "address-family ipv4 unicast",
                  "redistribute table 247")
        a.bridge.stop()
        a.start_bridge()
        a.wait_log("'redistribute table 247' announces routes of local repair")


def main():
    netns.remove_stale()
    suite = Suite("repair")
    suite.case("announced, the tunnel passes on: nothing is lost", announced)
    suite.case("dead at once", dead_at_once)
    suite.case("taken back before BGP moved", taken_back)
    suite.case("a suspicion of the IKE daemon's", a_suspicion)
    suite.case("the alternative goes", the_alternative_goes)
    suite.case("zebra restarts while repaired", zebra_restarts)
    suite.case("the bridge ends while repaired", bridge_ends)
    suite.case("switched off and on", switched_off)
    suite.case("U-turns end with the bridge", turns_end)
    suite.case("without BMP", without_bmp)
    suite.case("never passed on", never_passed_on)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
