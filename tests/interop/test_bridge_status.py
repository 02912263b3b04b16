#!/usr/bin/env python3
"""routed-bridge as it is looked at: --status and its JSON, metrics; they agree with zebra's
vty. Nobody who looks, or only pretends to, disturbs the bridge. And every metric that a page,
the dashboard or an alert names exists.
"""
import json
import os
import resource
import re
import socket
import subprocess
import sys
import time

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import metrics  # noqa: E402
from tests.support.bridge import BINARY, CONFIG, PREFIX, PREFIX6, Site  # noqa: E402
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

PORT = 9434
METRICS = f"metrics 127.0.0.1:{PORT}\n"
OK, FAILED, USAGE, NO_BRIDGE = range(4)


def ask(site, *words, status=OK, control=None):
    """The output, or on a failure that is expected what is on standard error."""
    done = subprocess.run([BINARY, "--status", "--control", control or f"{site.dir}/control",
                           *words], text=True, capture_output=True, check=False, timeout=60)
    check_equal(done.returncode, status, f"--status {words}: {done.stderr.strip()}")
    return done.stdout if status == OK else done.stderr


def document(site):
    return json.loads(ask(site, "--json"))


def tunnel(site, name="a-b"):
    return next(t for t in document(site)["tunnels"] if t["conn"] == name)


def wait(site, what, condition, timeout=10):
    def fits():
        found = document(site)
        return found if condition(found) else None
    return until(what, fits, timeout, 0.1)


def connected(found):
    return found["ike"]["connected"] and found["zebra"][0]["connected"]


def life(site):
    """down, up, shadowed, down: as zebra has it, in the document, the tables and the metrics."""
    until("it answers", lambda: os.path.exists(f"{site.dir}/control"))
    found = wait(site, "sessions", connected)
    check_equal((found["format"], found["warnings"], found["repair"], found["bfd"]),
                (1, [], None, None), "a bridge that has all it wants")
    version = site.frr.vty("zebra", "show version").split()[1]
    check_equal(found["zebra"][0]["frr"], version, "FRR's version")
    check_equal(found["zebra"][0]["type"], "nhrp", "type")
    down = tunnel(site)
    check_equal((down["up"], down["expected"], down["interface"], down["routes"]["wanted"]),
                (False, True, "tun-ab", 0), "down")
    site.up()
    site.wait_installed()
    site.wait_installed(PREFIX6)
    found = wait(site, "both routes", lambda f: f["routes"]["installed"] == 2)
    up = tunnel(site)
    check_equal((up["up"], up["operative"], up["child-sas"], up["ups"]), (True, True, 1, 1), "up")
    check(up["since"] < 60, "since")
    cause = up["cause"]
    site.vici.child_up("a-b", 9)
    site.vici.child_down(9)
    check_equal(wait(site, "a stale SA came and went", lambda f: tunnel(site)["child-sas"] == 1) and
                tunnel(site)["cause"], cause, "why it came up, whatever happened since")
    check_equal(up["routes"], {"wanted": 2, "installed": 2, "shadowed": 0, "failed": 0}, "routes")
    table = {r["prefix"]: r for r in found["routes"]["table"]}
    entry = site.frr.rib(PREFIX)[0]
    check_equal((table[PREFIX]["state"], table[PREFIX]["distance"], table[PREFIX]["tag"]),
                ("installed", entry["distance"], entry["tag"]), "as zebra has it")
    check_equal(set(table), {PREFIX, PREFIX6}, "prefixes")
    shown = ask(site)
    for words in (["a-b", "up"], ["tun-ab", "up", "1", "2/2"], [PREFIX, "installed", "a-b"],
                  ["zebra", "nhrp", "connected"], ["routes", "in", "zebra:", "wanted", "2,", "installed", "2,"]):
        check(any(all(w in line.split() for w in words) for line in shown.splitlines()),
              f"{words} in a line of\n{shown}")
    shadow(site)
    site.vici.child_down(1)
    site.wait_gone()
    found = wait(site, "no routes", lambda f: f["routes"]["wanted"] == 0)
    check_equal((tunnel(site)["up"], tunnel(site)["downs"]), (False, 1), "down again")


def shadow(site):
    """A connected network wins over ours."""
    site.ns.ip("address", "add", "10.2.0.1/24", "dev", "lo")
    found = wait(site, "shadowed", lambda f: f["routes"]["shadowed"] == 1)
    check_equal([r["prefix"] for r in found["routes"]["table"] if r["state"] == "shadowed"],
                [PREFIX], "which one")
    check_equal(tunnel(site)["routes"]["shadowed"], 1, "of the tunnel")
    metrics.until_metrics("shadowed", site.ns, PORT,
                          lambda m: m.value("routed_bridge_routes_shadowed") == 1)
    site.ns.ip("address", "del", "10.2.0.1/24", "dev", "lo")
    wait(site, "installed again", lambda f: f["routes"]["installed"] == 2)


def late(site):
    """zebra says nothing of a route that comes when another protocol's is there: it is asked."""
    site.ns.ip("address", "add", "10.2.0.1/24", "dev", "lo")
    until("zebra has the connected network", lambda: site.frr.rib(PREFIX, "connected"))
    site.up(7)
    site.wait_installed(PREFIX6)
    found = wait(site, "shadowed", lambda f: f["routes"]["shadowed"] == 1, 30)
    check_equal((found["routes"]["wanted"], found["routes"]["installed"]), (2, 1), "the rest")
    site.ns.ip("address", "del", "10.2.0.1/24", "dev", "lo")
    wait(site, "installed when the other goes", lambda f: f["routes"]["installed"] == 2)
    site.vici.child_down(7)
    site.wait_gone()


def agree(site):
    """Metrics and --status."""
    site.up(2)
    site.wait_installed()
    wait(site, "both routes", lambda f: f["routes"]["installed"] == 2)
    seen = metrics.until_metrics("both routes", site.ns, PORT, lambda m: m.value(
        "routed_bridge_routes_installed") == 2)
    found = document(site)
    for word in ("wanted", "installed", "shadowed", "failed", "lacking"):
        check_equal(seen.value(f"routed_bridge_routes_{word}"), found["routes"][word], word)
    for t in found["tunnels"]:
        for word in ("up", "expected", "operative", "child_sas"):
            check_equal(seen.value(f"routed_bridge_tunnel_{word}", conn=t["conn"]),
                        int(t[word.replace("_", "-")]), f"{t['conn']}: {word}")
        for state, n in t["routes"].items():
            check_equal(seen.value("routed_bridge_tunnel_routes", conn=t["conn"], state=state), n,
                        f"{t['conn']}: {state}")
        check_equal(seen.value("routed_bridge_tunnel_downs_total", conn=t["conn"]), t["downs"],
                    "downs")
    check_equal([seen.value(f"routed_bridge_tunnels_{word}")
                 for word in ("configured", "expected", "up", "missing")], [1, 1, 1, 0], "sums")
    check_equal(seen["routed_bridge_zebra_connected"],
                [({"type": "nhrp", "frr": found["zebra"][0]["frr"]}, 1)], "session")
    check_equal(seen.value("routed_bridge_ike_connected"), 1, "ike")
    check_equal(seen.value("routed_bridge_repair_enabled"), 0, "repair")


def losses(site):
    """zebra is restarted, the IKE daemon is away: what is said, and how often they came."""
    site.frr.stop("zebra")
    found = wait(site, "zebra is missed", lambda f: not f["zebra"][0]["connected"])
    check(any("no session with zebra (nhrp)" in w for w in found["warnings"]), found["warnings"])
    check("warning: no session with zebra (nhrp)" in ask(site), "the table has it")
    metrics.until_metrics("zebra is missed", site.ns, PORT, lambda m: m.value(
        "routed_bridge_zebra_connected") == 0 and m.value("routed_bridge_warnings") >= 1)
    site.frr.start("zebra")
    found = wait(site, "zebra is back", lambda f: connected(f) and not f["warnings"])
    check_equal(found["zebra"][0]["connects"], 2, "connects")
    site.wait_installed()
    site.vici.stop()
    found = wait(site, "the daemon is missed", lambda f: not f["ike"]["connected"])
    check(any("no word from the IKE daemon" in w for w in found["warnings"]), found["warnings"])
    site.vici.start()
    wait(site, "the daemon is back", lambda f: f["ike"]["connected"])
    metrics.until_metrics("the daemon is back", site.ns, PORT, lambda m: m.value(
        "routed_bridge_ike_connected") == 1 and m.value("routed_bridge_ike_connects_total") == 2)


def unknown_conn(site):
    site.reload(METRICS + CONFIG + "conn no-such\n prefix 10.77.0.0/24\nconn x-*\n tag 1\n")
    found = wait(site, "the warning", lambda f: f["warnings"])
    check_equal(found["warnings"], ["no-such: the file names it, and the IKE daemon has no such "
                                    "connection"], "warnings")
    lost = tunnel(site, "no-such")
    check_equal((lost["loaded"], lost["expected"], lost["up"]), (False, True, False), "no-such")
    check_equal(found["reloads"], 1, "reloads")
    seen = metrics.until_metrics("the section", site.ns, PORT, lambda m: m.value(
        "routed_bridge_tunnels_missing") == 1)
    check_equal(seen.value("routed_bridge_tunnel_up", conn="no-such"), 0, "not up")
    site.vici.stop()  # what the daemon has is not known then
    found = wait(site, "the daemon is missed", lambda f: not f["ike"]["connected"])
    check(not any("no such connection" in w for w in found["warnings"]), found["warnings"])
    check_equal(tunnel(site, "no-such")["cause"], "no word from the IKE daemon", "cause")
    site.vici.start()
    wait(site, "the daemon is back", lambda f: f["ike"]["connected"])
    site.reload(METRICS + CONFIG)
    wait(site, "no warning", lambda f: not f["warnings"])


def unloaded(site):
    """A connection that the daemon has no longer: missed if the file names it, else forgotten.
    The next word of any tunnel brings it to light."""
    site.vici.child_up("x-y", 70)
    check(wait(site, "it is up", lambda f: len(f["tunnels"]) == 2), "x-y")
    known = site.vici.conns
    site.vici.conns = {}
    site.vici.child_down(70)
    found = wait(site, "it is forgotten", lambda f: len(f["tunnels"]) == 1)
    check_equal((found["tunnels"][0]["conn"], found["warnings"]), ("a-b", []), "its SA is there")
    site.vici.child_down(2)
    found = wait(site, "a-b is missed", lambda f: f["warnings"])
    check_equal(found["warnings"], ["a-b: the file names it, and the IKE daemon has no such "
                                    "connection"], "warnings")
    lost = tunnel(site)
    check_equal((lost["loaded"], lost["up"]), (False, False), "a-b")
    site.vici.conns = known
    del known["x-y"]
    site.up(3)
    wait(site, "it is back", lambda f: not f["warnings"] and f["tunnels"][0]["loaded"])
    site.wait_installed()


def _reach(path):
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(0)
        sock.connect(path)
    except BlockingIOError:
        sock.close()
        return None
    return sock


def hostile(site):
    """Hundreds who connect to either door and do nothing: routes go as fast as ever, others get
    answers, no descriptor stays."""
    base = metrics.read(site.ns, PORT).value("process_open_fds")
    sockets = []
    for number in range(300):
        sockets.append(metrics.connect(site.ns, PORT))
        if number % 2:
            sockets[-1].sendall(b"GET /metrics HTTP/1.1\r\nX:")
        sockets.append(until("room in the queue", lambda: _reach(f"{site.dir}/control")))
    start = time.monotonic()
    document(site)
    seen = metrics.read(site.ns, PORT)
    check(time.monotonic() - start < 5, "others wait")
    check(seen.value("process_open_fds") <= base + 64 + 16 + 4, "descriptors")
    mark = site.log().count("withdraw")
    site.vici.link("a-b", False)
    site.wait_gone()
    check(site.log().count("withdraw") > mark, "withdrawn by the bridge")
    site.vici.link("a-b", True)
    site.wait_installed()
    for sock in sockets:
        sock.close()
    metrics.until_metrics("descriptors are closed", site.ns, PORT,
                          lambda m: m.value("process_open_fds") <= base + 1)


def short_of_descriptors(site):
    """Who can't be accepted waits in the queue, and is looked at once a second, not all the time."""
    until("former clients' descriptors are closed",
          lambda: not site.ns.run("ss", "-tnH", "sport", "=", f":{PORT}"))
    pid = site.bridge.child.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    mark, start = site.bridge.log_mark(), time.monotonic()
    held = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
    lowest_free = min(set(range(len(held) + 1)) - held)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
    waiting = until("room in the queue", lambda: _reach(f"{site.dir}/control"))

    def refusals():
        return site.bridge.log(mark).count("can't accept a client: Too many open files")

    until("a second attempt", lambda: refusals() > 1)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    document(site)
    check(refusals() <= time.monotonic() - start + 1, f"{refusals()} attempts")
    waiting.close()


def doors(site):
    """A reload moves them; a dead bridge's socket is replaced; strangers stay outside."""
    check_equal(os.stat(f"{site.dir}/control").st_mode & 0o777, 0o600, "mode")
    site.stop_bridge()
    check(not os.path.exists(f"{site.dir}/control"), "it goes with the bridge")
    check("no bridge runs" in ask(site, status=NO_BRIDGE), "nobody")
    site.start_bridge()
    until("it is there", lambda: os.path.exists(f"{site.dir}/control"))
    site.stop_bridge(9)
    check("no bridge runs" in ask(site, status=NO_BRIDGE), "a dead one")
    site.start_bridge()
    until("it answers", lambda: subprocess.run(
        [BINARY, "--status", "--json", "--config", f"{site.dir}/bridge.conf"],
        capture_output=True, check=False).returncode == OK)
    stranger = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", BINARY, "--status",
                               "--control", f"{site.dir}/control"], text=True,
                              capture_output=True, check=False)
    check_equal(stranger.returncode, NO_BRIDGE, "somebody else")
    check("Permission denied" in stranger.stderr, stranger.stderr)
    site.reload(f"metrics [::1]:{PORT}\n" + CONFIG)
    until("it is served there", lambda: _served(site, "::1"))
    check(not _served(site, "127.0.0.1"), "and not here")
    site.reload(METRICS + CONFIG)
    until("and back", lambda: _served(site, "127.0.0.1"))


def _served(site, address):
    try:
        return bool(metrics.read(site.ns, PORT, address))
    except OSError:
        return False


def fake(site):
    """Somebody else's socket at that path."""
    path = f"{site.dir}/fake"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        for said, status, words in ((b"hello\n", FAILED, "no JSON"),
                                    (b"", NO_BRIDGE, "its own user")):
            with subprocess.Popen([BINARY, "--status", "--control", path], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
                peer, _ = server.accept()
                peer.sendall(said)
                peer.close()
                _, complaint = child.communicate(timeout=20)
                check_equal(child.returncode, status, complaint)
                check(words in complaint, complaint)
    for words, wrong in (("--json", "--json belongs to --status"),
                         ("--bfd-linger 5", "--bfd-linger belongs to --bfd-only"),
                         ("--check --status", "--check, --status and --bfd-only exclude each other"),
                         (f"--check --bfd-dplane /{'x' * 63}",
                          f"'/{'x' * 63}' is too long; bfdd takes at most 63 characters")):
        done = subprocess.run([BINARY, *words.split()], text=True, capture_output=True, check=False)
        check_equal((done.returncode, done.stderr), (USAGE, f"routed-bridge: {wrong}\n"), words)


def without_zebra(site):
    """Routes in the kernel: the same tables; and what can't be had there is said."""
    site.reload(METRICS + "zebra no\nrepair yes\nrepair-distance 20\n" + CONFIG)
    wait(site, "warnings", lambda f: len(f["warnings"]) == 2 and
         all(w.startswith("'repair") for w in f["warnings"]))
    site.reload(METRICS + "zebra no\n" + CONFIG)
    found = wait(site, "routes in the kernel", lambda f: f["routes"]["in"] == "kernel" and
                 f["routes"]["installed"] == 2 and not f["warnings"])
    check_equal(found["zebra"], [], "no session is missed")
    check_equal({r["type"] for r in found["routes"]["table"]}, {"kernel"}, "type")
    check("routes in kernel: wanted 2" in ask(site), "the table")
    metrics.until_metrics("in the kernel", site.ns, PORT, lambda m: m.value(
        "routed_bridge_routes_in_kernel") == 1 and m.value("routed_bridge_routes_installed") == 2)
    site.reload(METRICS + CONFIG)
    wait(site, "routes in zebra", lambda f: f["routes"]["in"] == "zebra" and
         f["routes"]["installed"] == 2)


def documented(site):
    metrics.check_documented(os.path.join(ROOT, "docs/metrics.md"),
                             metrics.read(site.ns, PORT), "routed_bridge")


def dashboard(_site):
    """What Grafana and Prometheus are told to look at exists, and the files are whole."""
    rows = metrics.rows_of(os.path.join(ROOT, "docs/metrics.md"))
    with open(os.path.join(ROOT, "docs/grafana/detour.json"), encoding="utf-8") as file:
        board = json.load(file)
    panels = board["panels"]
    check_equal(len({p["id"] for p in panels}), len(panels), "each panel has an id of its own")
    variables = {v["name"] for v in board["templating"]["list"]}
    targets = [t for p in panels for t in p.get("targets", [])]
    for target in targets:
        check(metrics.check_expression(target["expr"], rows), f"no metric: {target['expr']}")
        unknown = set(re.findall(r"\$(\w+)", target["expr"])) - variables - {"__rate_interval"}
        check(not unknown, f"no variable {unknown}: {target['expr']}")
        check_equal(target["datasource"]["uid"], "${datasource}", "data source")
    check(len(targets) > 30, "targets")
    for variable in board["templating"]["list"]:
        metrics.check_expression(variable.get("definition", ""), rows)
    with open(os.path.join(ROOT, "docs/prometheus/alerts.yml"), encoding="utf-8") as file:
        rules = yaml.safe_load(file)["groups"][0]["rules"]
    for rule in rules:
        check(rule["annotations"]["summary"] and rule["labels"]["severity"], rule["alert"])
        metrics.check_expression(rule["expr"] + rule["annotations"].get("description", ""), rows)
    alerted = next(r["expr"] for r in rules if "routes_wanted" in r["expr"])
    shown = next(p["targets"][0]["expr"] for p in panels if p["title"] == "Missing routes")
    check_equal(set(re.findall(r"routed_bridge\w+", shown)),
                set(re.findall(r"routed_bridge\w+", alerted)), "missing routes: the panel and the alert")
    with open(os.path.join(ROOT, "docs/prometheus/scrape.yml"), encoding="utf-8") as file:
        jobs = {job["job_name"] for job in yaml.safe_load(file)["scrape_configs"]}
    check_equal(jobs, {"ipsecd", "routed-bridge"}, "jobs, as the alerts name them")


def main():
    suite = Suite("bridge_status")
    with Site("status", METRICS + CONFIG) as site:
        site.start()
        for name, case in (("life", life), ("late", late), ("metrics agree", agree), ("losses", losses),
                           ("unknown connection", unknown_conn), ("unloaded", unloaded),
                           ("hostile clients", hostile),
                           ("short of descriptors", short_of_descriptors), ("without zebra", without_zebra),
                           ("doors", doors), ("fake", fake), ("documented", documented),
                           ("dashboard and alerts", dashboard)):
            suite.case(name, case, site)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
