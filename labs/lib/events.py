"""The events of a lab under their probes: what is done, waited for, measured and checked.
plan.py has their description, actions.py what they can do."""
import json
import re
import time

import report
from measure import (Echo, Probe, RouteWatch, Tracer, heartbeat, kernel_device, leak_counter,
                     loop_counter, wait_for_path)
from plan import limits
from shell import LabError, run, say, wait_until

SETTLE_SECONDS = 90  # a new IKE_SA may first wait for a back-off
AGAIN_SECONDS = 5
STALL_MS = 20  # two packets of the quickest BFD
TIMES = 3  # that a disturbed event is measured, at most


class Flow:
    """From a host behind one site to one behind another."""

    def __init__(self, network, near, far):
        lab, program = network.lab, f"{network.settings.programs}/lab-probe"
        self.near, self.far = network.sites[near], network.sites[far]
        self.host, self.target = lab.hosts_of(near)[0], lab.hosts_of(far)[0]
        prefix = next(c.split()[3] for c in lab.nodes[self.target]["exec"] if "address add" in c)
        self.address = prefix.split("/")[0]
        self.network = self._network(lab, far, prefix)
        self.tracer = Tracer(lab, list(network.sites.values()), self.host, self.address, program)

    @staticmethod
    def _network(lab, site, host_prefix):
        """The LAN as the site's own kernel has it."""
        address, length = host_prefix.split("/")
        out = run(["ip", "-n", lab.namespace(site), "route", "show", "match", address, "proto",
                   "kernel"], quiet=True)
        return re.search(rf"^\S+/{length}", out, re.M)[0]


class Events:
    def __init__(self, network, probe, plane):
        self.network, self.actions, self.mesh = network, network.actions, network.mesh
        self.probe, self.plane = probe, plane
        self.program = f"{network.settings.programs}/lab-probe"
        self.flows, self.echoes, self.leaks, self.loops = {}, {}, {}, {}
        self.heartbeat = None
        self.results, self.checks = [], []

    # ---- who watches

    def _flow(self, near, far):
        if (near, far) not in self.flows:
            flow = Flow(self.network, near, far)
            if far not in self.echoes:
                self.echoes[far] = Echo(self.network.lab, flow.target, flow.address, self.program)
            self.flows[near, far] = flow
        return self.flows[near, far]

    def flows_of(self, event):
        near = event.get("from", self.probe["from"])
        far = event.get("to", self.probe["to"])
        if far == "all":
            ends = self.mesh.links.get(event.get("link"), ())
            far = sorted((site for site in self.network.sites if site != near),
                         key=lambda site: site not in ends)
        return [self._flow(near, f) for f in (far if isinstance(far, list) else [far])]

    def _inner(self):
        """Every network that has no business on the outer interface: the hosts'."""
        lab = self.network.lab
        return sorted({c.split()[3] for host in lab.role("host")
                       for c in lab.nodes[host]["exec"] if "address add" in c})

    def _counters(self, near):
        """Started once, because starting costs what is being measured."""
        if near.name not in self.leaks:
            self.leaks[near.name] = leak_counter(
                near.namespace, self.actions.outer(near.name), self._inner())
        self.heartbeat = self.heartbeat or heartbeat(near.namespace)
        for site in self.network.sites.values():
            if site.name not in self.loops:
                self.loops[site.name] = loop_counter(site.namespace, self.program)
        return self.leaks[near.name]

    def stop(self):
        for process in [*self.echoes.values(), *self.leaks.values(), *self.loops.values(),
                        *([self.heartbeat] if self.heartbeat else [])]:
            process.stop()

    # ---- one event

    def wanted(self, path, flow):
        """As a text, and as a function that tells."""
        near, far = flow.near.name, flow.far.name
        if path == "shortest":
            return f"a shortest way {near} -> {far}", \
                lambda seen: self.mesh.is_shortest(seen, near, far)
        return " -> ".join(path), lambda seen: seen == path

    def wait_for_paths(self, flows, path, seconds):
        for flow in flows:
            wait_for_path(flow.tracer, self.wanted(path, flow), seconds, self.network.running())

    def run_group(self, group, number, again, after):
        """An event and what undoes it, `after` after each. `again`: all of it once more where it
        is not as expected, but the machine stood still meanwhile."""
        for times in range(1, TIMES + 1):
            results, checks = len(self.results), len(self.checks)
            for event in group:
                self.run_event(event, number)
                after()
            disturbed = [r for r in self.results[results:]
                         if not r["ok"] and r["stall_ms"] >= STALL_MS]
            if not again or not disturbed or times == TIMES:
                return
            for result in disturbed:
                say(f"\n== {result['name']} is not as expected, and the machine did nothing for "
                    f"{result['stall_ms']} ms meanwhile: once more")
            for check in self.checks[checks:]:
                if not check[2]:
                    say(f"  does not count: {report.check_words(check)}")
            del self.results[results:], self.checks[checks:]

    def run_event(self, event, number):
        flows = self.flows_of(event)
        near, action = flows[0].near, event.get("do", {})
        say(f"\n== {event['name']}: {event['text']}")
        self.network.wait_steady()
        self.actions.expect(action)
        leaks = self._counters(near)
        device = kernel_device(near.namespace, flows[0].network)
        watch = RouteWatch(near.namespace, flows[0].network)
        alarms, downs = self._alarms(), self._bgp_downs()
        probes = []
        try:
            probes += [Probe(self.network.lab, f.host, f.address, self.program,
                             self.probe["rate"]) for f in flows]
            for probe in probes:
                probe.ready()
            for counter in [leaks, self.heartbeat, *self.loops.values()]:
                counter.read()
            start = time.time()
            self._happen(event, action, flows, start)
            load = self.actions.end()
            paths = self._final_paths(flows, event["path"])
            for probe in probes:
                probe.tell_end()
            measured = [probe.stop() for probe in probes]
        finally:
            self.actions.end()
            for probe in probes:
                probe.kill()
            watch.stop()
        result = {"name": event["name"], "run": number}
        result.update({"link": event["link"]} if "link" in event else {})
        result.update(self._summed(measured))
        if len(flows) > 1:
            result["flows"] = [{"to": f.far.name, "lost": m["lost"], "gap_ms": m["gap_ms"],
                                "blackhole_ms": m["blackhole_ms"]}
                               for f, m in zip(flows, measured)]
        result.update(self._times(watch, start, device, measured[0]))
        result.update(self._counted(leaks))
        result["alarms"] = sum(n - alarms[name] for name, n in self._alarms().items()
                               if n >= alarms[name])  # a new bfdd counts from 0
        result["bgp_downs"] = sum(max(n - downs[name], 0)
                                  for name, n in self._bgp_downs().items())
        result.update({"load_mbit": round(load * 8 / 1e6 / (time.time() - start), 1)}
                      if load else {})
        self._note(event, dict(result, path=paths[0]), flows, paths)

    def _happen(self, event, action, flows, start):
        self.actions.act(action)
        self.wait_for_paths(flows, event["path"], SETTLE_SECONDS)
        running = self.network.running()
        wait_until(f"the end of {event['name']}", lambda: self.actions.settled(action),
                   SETTLE_SECONDS, running)
        seconds = event.get("seconds", 0)
        wait_until("the probe's time", lambda: time.time() >= start + seconds,
                   seconds + SETTLE_SECONDS, running)

    def _final_paths(self, flows, path):
        """On a busy machine BFD may take a stall for a loss and be right again at once."""
        try:
            self.wait_for_paths(flows, path, AGAIN_SECONDS)
        except LabError:
            pass  # what is seen instead is the result
        return [flow.tracer.path() for flow in flows]

    # ---- what was measured

    def _alarms(self):
        return {name: site.bfd_downs() for name, site in self.network.sites.items()}

    def _bgp_downs(self):
        return {name: site.bgp_downs() for name, site in self.network.sites.items()}

    @staticmethod
    def _summed(measured):
        return {"sent": sum(m["sent"] for m in measured),
                "lost": sum(m["lost"] for m in measured),
                "gap_ms": max(m["gap_ms"] for m in measured),
                "blackhole_ms": max(m["blackhole_ms"] for m in measured)}

    @staticmethod
    def _times(watch, start, device, probe):
        """Of the first flow: the near kernel's move, since the event and since the first loss."""
        change = watch.first_change(start, device)
        lost_at = probe["started"] + probe["blackhole_at_ms"] / 1000
        after = round((change - lost_at) * 1000, 1) if change and probe["lost"] else None
        return {"fib_ms": round((change - start) * 1000, 1) if change else None,
                "fib_after_loss_ms": after}

    def _counted(self, leaks):
        loops = [counter.read() for counter in self.loops.values()]
        missed = sum(c["missed"] for c in loops)
        if missed:
            say(f"  {missed} datagrams were not looked at for loops: the machine is too busy")
        return {"leaked": leaks.read(), "repeats": sum(c["repeats"] for c in loops),
                **self.heartbeat.read()}

    def _note(self, event, result, flows, paths):
        label = event["name"] + (f" {event['link']}" if "link" in event else "") \
            + (f" #{result['run']}" if result["run"] > 1 else "")
        failed = len([c for c in self.checks if not c[2]])
        for flow, path in zip(flows, paths):
            text, met = self.wanted(event["path"], flow)
            self._check(label, "path", met(path), text, " -> ".join(path))
        self._check(label, "repeats", result["repeats"] == 0, "none", result["repeats"])
        for key, most in limits(event.get("expect", {}), self.plane).items():
            self._check(label, key, result[key] <= most, f"at most {most}", result[key])
        result["ok"] = failed == len([c for c in self.checks if not c[2]])
        self.results.append(result)
        say("  " + json.dumps(result))

    def _check(self, name, what, ok, wanted, seen):
        self.checks.append((name, what, ok, wanted, seen))
