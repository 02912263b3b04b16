"""The events of a lab: what is done, what is waited for, what is measured meanwhile. An
event's description (events.json):

    name     as it stands in result.json
    do       one action, left out for "nothing happens":
             {"rekey": CONN, "at": SITE}   {"down": CONN, "at": SITE}   {"up": CONN, "at": SITE}
             {"cut": [SITE, SITE]}         {"mend": [SITE, SITE]}
             {"restart": "zebra" or "routed-bridge", "at": SITE}
             CONN of "down" and "up" may be a list
    path     the sites that packets pass in the end
    seconds  how long the probe runs at least
    expect   {"lost": N}, {"gap_ms": N}: at most so much; {"leaked": N}: packets from or for a
             site's networks, in clear on the outer interface of the probe's site. N may be one
             for each data plane, {"userspace": N, "kernel": N}
"""
import json
import time

from measure import LeakWatch, Probe, RouteWatch, kernel_device, wait_for_path
from shell import LabError, run, say, wait_until

SETTLE_SECONDS = 90  # a new IKE_SA may first wait for a back-off
AGAIN_SECONDS = 5


class Events:
    def __init__(self, lab, sites, tracer, probe, programs, plane):
        self.lab, self.sites, self.tracer, self.programs = lab, sites, tracer, programs
        self.plane = plane
        self.probe = probe  # host, address, rate, site, prefix
        self.results, self.checks = [], []
        self.before = None  # what the action is measured against

    # ---- actions: each does it, then `settled` says when all of it has happened

    def act(self, action):
        for verb in ("rekey", "down", "up", "cut", "mend", "restart"):
            if verb in action:
                getattr(self, "_" + verb)(action[verb], action)

    def _rekey(self, conn, action):
        self.before = self._keys(self.sites[action["at"]], conn)
        self.sites[action["at"]].ipsecctl("rekey", conn)

    @staticmethod
    def _conns(conn):
        return conn if isinstance(conn, list) else [conn]

    def _down(self, conn, action):
        for name in self._conns(conn):
            self.sites[action["at"]].ipsecctl("down", name)

    def _up(self, conn, action):
        for name in self._conns(conn):
            self.sites[action["at"]].ipsecctl("up", name)

    def _outer(self, site):
        return next(a for a in self.lab.links if a[0].startswith(site + ":")
                    and a[1].startswith("internet:"))[0].split(":")[1]

    def _public(self, site):
        config = self.lab.nodes[site]["exec"]
        outer = self._outer(site)
        return next(c.split()[3].split("/")[0] for c in config if c.endswith(f"dev {outer}"))

    def _inner(self):
        """Every network that has no business on the outer interface: the hosts'."""
        return sorted({c.split()[3] for host in self.lab.role("host")
                       for c in self.lab.nodes[host]["exec"] if "address add" in c})

    def _rules(self, verb, pair):
        a, b = (self._public(site) for site in pair)
        for source, target in ((a, b), (b, a)):
            run(["ip", "-n", self.lab.namespace("internet"), "rule", verb, "from", source, "to",
                 target, "blackhole"])

    def _cut(self, pair, _):
        self._rules("add", pair)

    def _mend(self, pair, _):
        self._rules("del", pair)

    def _restart(self, what, action):
        site = self.sites[action["at"]]
        self.before = site.bgp_routes()
        if what == "zebra":
            site.restart_zebra()
        elif what == "routed-bridge":
            site.restart_bridge()
        else:
            raise LabError(f"events.json: can't restart '{what}' (zebra, routed-bridge)")

    # ---- after the action

    @staticmethod
    def _keys(site, conn):
        """SPIs of the IKE_SA and of its children, as ipsecctl tells them."""
        return site.ike_spis(conn), site.child_spis(conn)

    def settled(self, action):
        site = self.sites.get(action.get("at"))
        if "rekey" in action:
            ike, children = self._keys(site, action["rekey"])
            return (ike and children and not ike & self.before[0]
                    and not children & self.before[1])
        if "down" in action:
            return not any(site.child_spis(c) for c in self._conns(action["down"]))
        if "up" in action:
            return all(site.child_spis(c) for c in self._conns(action["up"]))
        if "restart" in action:
            return (site.peers_established() and site.bgp_routes() >= self.before
                    and site.bridge_routes() >= site.bridge_wanted())
        return True

    def running(self):
        """Every daemon that should run does."""
        return [d for site in self.sites.values() for d in site.running()]

    # ---- one event

    def run_event(self, event):
        near, prefix = self.sites[self.probe["site"]], self.probe["prefix"]
        action = event.get("do", {})
        say(f"\n== {event['name']}: {event['text']}")
        device = kernel_device(near.namespace, prefix)
        watch = RouteWatch(near.namespace, prefix)
        leaks = LeakWatch(near.namespace, self._outer(near.name), self._inner())
        probe = Probe(self.lab, self.probe["host"], self.probe["address"],
                      f"{self.programs}/lab-probe", self.probe["rate"])
        try:
            start = time.time()
            self.act(action)
            wait_for_path(self.tracer, event["path"], SETTLE_SECONDS, self.running())
            wait_until(f"the end of {event['name']}", lambda: self.settled(action),
                       SETTLE_SECONDS, self.running())
            wait_until("the probe's time", lambda: time.time() >= start + event["seconds"],
                       SETTLE_SECONDS, self.running())
            path = self._final_path(event["path"])
            measured = probe.stop()
        finally:
            probe.kill()
            watch.stop()
            measured_leaks = leaks.stop()
        self._note(event, dict(measured, leaked=measured_leaks),
                   watch.first_change(start, device), path)

    def _final_path(self, wanted):
        """On a busy machine BFD may take a stall for a loss and be right again at once."""
        try:
            wait_for_path(self.tracer, wanted, AGAIN_SECONDS, self.running())
        except LabError:
            pass  # what is seen instead is the result
        return self.tracer.path()

    def _note(self, event, measured, fib_ms, path):
        result = {"name": event["name"], "sent": measured["sent"], "lost": measured["lost"],
                  "gap_ms": measured["gap_ms"], "fib_ms": fib_ms,
                  "leaked": measured["leaked"], "path": path}
        self.results.append(result)
        self._check(event["name"], "path", path == event["path"], ",".join(event["path"]),
                    ",".join(path))
        for key, most in event.get("expect", {}).items():
            most = most[self.plane] if isinstance(most, dict) else most
            self._check(event["name"], key, result[key] <= most, f"at most {most}", result[key])
        say("  " + json.dumps(result))
        say(f"  longest gap began {measured['gap_at_ms']:.0f} ms into the probe")

    def _check(self, name, what, ok, wanted, seen):
        self.checks.append((name, what, ok, wanted, seen))
