"""What the lab measures, from outside: datagrams between LAN hosts, the way packets take,
the kernel's route changes with their times."""
import datetime
import json
import os
import re
import subprocess
import sys
import threading

from shell import LabError, inside, run, session_before_others, show, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
ECHO_PORT = 7007
FLOOD_PORT = 7008
TUNNELS = "tun-"  # what topology names its devices
PATH_SECONDS = 0.2  # between two traces: the machine is being measured


def background(words, **streams):
    show(words + ["&"])
    process = subprocess.Popen(words, text=True, start_new_session=True, **streams)
    session_before_others(process)
    return process


class Echo:
    """The far host's end; lives as long as the lab."""

    def __init__(self, lab, host, address, program):
        self.process = background(
            inside(lab.namespace(host), [program, "echo", address, str(ECHO_PORT)]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.process.stdout.readline().strip() != "ready":
            raise LabError(f"the probe's echo on {host} did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Probe:
    """Numbered datagrams at a steady rate, from start to stop. They flow, or there is no way
    for them, when it is made."""

    def __init__(self, lab, host, address, program, rate):
        self.process = background(
            inside(lab.namespace(host), [program, "send", address, str(ECHO_PORT), str(rate)]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ready(self):
        if self.process.stdout.readline().strip() != "ready":
            raise LabError("the probe did not start")

    def tell_end(self):
        self.process.stdin.close()

    def stop(self):
        out = self.process.stdout.read()
        if self.process.wait() != 0:
            raise LabError(f"the probe ended with {self.process.returncode}")
        return json.loads(out)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Flood:
    """Full load from one host to another: a TCP stream, until it is stopped."""

    def __init__(self, lab, source, target, address, program):
        self.sent = 0  # bytes
        self.sink = self._start(lab, target, [program, "sink", address, str(FLOOD_PORT)])
        self.flood = self._start(lab, source, [program, "flood", address, str(FLOOD_PORT)])

    @staticmethod
    def _start(lab, host, words):
        process = background(inside(lab.namespace(host), words), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        if process.stdout.readline().strip() != "ready":
            process.kill()
            raise LabError(f"the load's '{' '.join(words)}' on {host} did not start")
        return process

    def stop(self):
        out, _ = self.flood.communicate()
        self.sink.communicate()
        self.sent = json.loads(out)["sent"] if out.strip() else 0


class Tracer:
    """The sites that packets pass, told by the addresses that answer for each hop. What
    address belongs to which site is asked of the sites' kernels, not of a plan."""

    def __init__(self, lab, sites, host, address, program):
        self.words = inside(lab.namespace(host), [program, "trace", address, str(ECHO_PORT)])
        self.sites, self.address = sites, address
        self.names = {}

    def _site(self, address):
        if address not in self.names:
            self.names = {a: site.name for site in self.sites for a in site.addresses()}
        return self.names.get(address, address)

    def path(self):
        """Site names; ends with '*' when a hop did not answer."""
        hops = run(self.words, quiet=True, check=False).split()
        return [self._site(h) for h in hops if h != self.address]


class Counter:
    """A process that counts in a namespace; each line to it is answered with what it counted
    since the last one."""

    def __init__(self, namespace, words):
        self.process = background(inside(namespace, words), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        if self.process.stdout.readline().strip() != "ready":
            raise LabError(f"'{' '.join(words)}' in {namespace} did not start")

    def read(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise LabError(f"'{' '.join(self.process.args)}' ended")
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def leak_counter(namespace, interface, networks):
    """Packets of inner networks on an interface where there should be none."""
    return Counter(namespace, [sys.executable, f"{HERE}/leak.py", interface] + networks)


def heartbeat(namespace):
    """The longest time that the machine stood still."""
    return Counter(namespace, [sys.executable, f"{HERE}/heartbeat.py"])


def loop_counter(namespace, program):
    """Datagrams of the probe that leave one tunnel device twice."""
    return Counter(namespace, [program, "watch", str(ECHO_PORT), TUNNELS])


class RouteWatch:
    """Changes of one route in a site's kernel, as rtnetlink reports them."""

    STAMP = re.compile(r"^\[(\S+)\] (.*)$")

    def __init__(self, namespace, prefix):
        self.prefix, self.changes = prefix, []
        self.process = background(
            ["ip", "-n", namespace, "-ts", "monitor", "route"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, env=dict(os.environ, TZ="UTC"))
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            match = self.STAMP.match(line.strip())
            if not match:
                continue
            words = match[2].split()
            deleted = words[:1] == ["Deleted"]
            words = words[1:] if deleted else words
            if words[:1] == [self.prefix]:
                at = datetime.datetime.fromisoformat(match[1]).replace(
                    tzinfo=datetime.timezone.utc).timestamp()
                device = words[words.index("dev") + 1] if "dev" in words else "?"
                self.changes.append((at, None if deleted else device))

    def first_change(self, since, device_before):
        """When (time.time()) after `since` the kernel had another next hop; None: it never had."""
        return next((at for at, device in list(self.changes)
                     if at >= since and device and device != device_before), None)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def kernel_device(namespace, prefix):
    """The device of the route, None without one."""
    routes = json.loads(run(["ip", "-n", namespace, "-j", "route", "show", prefix], quiet=True)
                        or "[]")
    return routes[0].get("dev") if routes else None


def wait_for_path(tracer, wanted, seconds, daemons):
    """`wanted`: text, and a function that tells whether a path is it."""
    text, met = wanted
    wait_until(f"packets going {text}", lambda: met(tracer.path()), seconds, daemons, PATH_SECONDS)
