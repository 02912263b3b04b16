"""What is measured in a rig. Each function returns plain numbers, by name."""
import json
import re
import subprocess
import time

from tests.support.poll import until

from .rigs import PROGRAMS, memory

PACKET_SIZES = (64, 1372)  # UDP payload; 1400 bytes is what fits strongSwan's device
UDP_SECONDS = 0.5
STEP = 2 ** (1 / 12)  # between rates: 6 %
RATES = [2000 * STEP ** k for k in range(120)]  # packets a second, to 1.9 million
LOSS = 0.001
PINGS = 100
LOADED_PINGS, LOADED_EVERY = 400, 0.005
FLOOD_SECONDS = 2
FLOOD_PINGS = 200


def quantile(times, share=0.5):
    return times[min(len(times) - 1, int(len(times) * share))]


# ---- TCP ----

def iperf_server(rig):
    server = subprocess.Popen(rig.spaces[1].argv("iperf3", "-s", "-1", "-B", rig.target),
                              stdout=subprocess.DEVNULL)
    until("iperf3 listens", lambda: "5201" in rig.spaces[1].run("ss", "-Hltn"))
    return server


def iperf(rig, seconds, streams=1):
    return ["iperf3", "-c", rig.target, "-B", rig.source, "-J", "-t", str(seconds), "-P", str(streams)]


def tcp(rig, seconds, streams):
    server = iperf_server(rig)
    before = rig.cpu()
    end = json.loads(rig.spaces[0].run(*iperf(rig, seconds, streams)))["end"]
    after = rig.cpu()
    server.wait(10)
    gigabytes = end["sum_received"]["bytes"] / 1e9
    costs = [(b - a) / gigabytes for a, b in zip(before, after)]
    result = {"mbps": end["sum_received"]["bits_per_second"] / 1e6}
    if costs:
        result |= {"cpu_sender": costs[0], "cpu_receiver": costs[1], "cpu_per_gb": sum(costs)}
    return result


def tcp_nogso(rig, seconds):
    rig.offloads(False)
    try:
        return tcp(rig, seconds, 1)
    finally:
        rig.offloads(True)


# ---- latency ----

def ping_times(rig, count, every, silent=False):
    """In ms, sorted. silent: there may be no answer at all."""
    output = rig.spaces[0].run("ping", "-n", "-i", str(every), "-c", str(count), "-W", "1",
                               "-I", rig.source, rig.target, check=False)
    times = sorted(float(t) for t in re.findall(r"time=([\d.]+)", output))
    if not times and not silent:
        raise RuntimeError(f"no answer to {count} pings")
    return times


def ping(rig):
    times = ping_times(rig, PINGS, 0.01)
    return {"min_ms": times[0], "p50_ms": quantile(times), "lost": 1 - len(times) / PINGS}


def loaded_ping(rig):
    """Pings while a TCP stream fills the tunnel."""
    server = iperf_server(rig)
    seconds = LOADED_PINGS * LOADED_EVERY + 1
    client = subprocess.Popen(rig.spaces[0].argv(*iperf(rig, seconds)), stdout=subprocess.PIPE, text=True)
    try:
        until("the stream runs", lambda: rig.target in rig.spaces[0].run(
            "ss", "-Htn", "state", "established", "dst", rig.target))
        time.sleep(0.2)  # out of slow start; nothing tells when
        times = ping_times(rig, LOADED_PINGS, LOADED_EVERY)
        output = client.communicate(timeout=seconds + 10)[0]
    finally:
        client.kill()
        client.wait()
        server.kill()
        server.wait()
    mbps = json.loads(output)["end"]["sum_received"]["bits_per_second"] / 1e6
    return {"p50_ms": quantile(times), "p99_ms": quantile(times, 0.99),
            "lost": 1 - len(times) / LOADED_PINGS, "mbps": mbps}


# ---- UDP ----

class Counter:
    """udp_rate count, at the far end."""

    def __init__(self, rig):
        self.child = subprocess.Popen(rig.spaces[1].argv(f"{PROGRAMS}/udp_rate", "count", "6000"),
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.child.stdout.readline()

    def result(self):
        """Packets, and seconds from the first to the last."""
        count, span = self.child.communicate()[0].split()
        return int(count), float(span)


def send(rig, size, rate, seconds):
    """How many it was, and how long it took. Rate 0: as fast as it goes."""
    count, took = rig.spaces[0].run(f"{PROGRAMS}/udp_rate", "send", rig.target, "6000", str(size),
                                    f"{rate:.0f}", str(seconds)).split()
    return int(count), float(took)


def passes(rig, size, rate):
    """Whether this many packets a second arrive, not late and almost all."""
    counter = Counter(rig)
    sent, took = send(rig, size, rate, UDP_SECONDS)
    got, span = counter.result()
    return got >= sent * (1 - LOSS) and took <= UDP_SECONDS * 1.05 and span <= UDP_SECONDS * 1.1


def udp_rate(rig, size):
    """The highest of RATES that passes; one that fails has a second chance, and two more are tried
    above what was found: a machine that stands still for a moment costs steps otherwise. Begins
    where it was found the last time."""
    def good(index):
        return passes(rig, size, RATES[index]) or passes(rig, size, RATES[index])

    guesses = rig.__dict__.setdefault("guesses", {})
    low, high, step = -1, len(RATES), 4
    at = guesses.get(size, len(RATES) // 2)
    while high - low > 1:
        if good(at):
            low = at
        else:
            high = at
        if low < 0 or high == len(RATES):  # no bracket yet
            step *= 2
            at = at + step if low >= 0 else at - step
            at = max(low + 1, min(at, high - 1))
        else:
            at = (low + high) // 2
    while above := next((at for at in (low + 2, low + 1) if 0 < at < len(RATES) and good(at)), None):
        low = above
    guesses[size] = max(low, 0)
    return {"pps": RATES[low] if low >= 0 else 0}


# ---- overload ----

def flood_ping(rig):
    """Pings while more packets of 64 bytes come than it can carry."""
    counter = Counter(rig)
    flood = subprocess.Popen(rig.spaces[0].argv(f"{PROGRAMS}/udp_rate", "send", rig.target, "6000", "64",
                                                "0", str(FLOOD_SECONDS + 1)), stdout=subprocess.PIPE)
    try:
        times = ping_times(rig, FLOOD_PINGS, FLOOD_SECONDS / FLOOD_PINGS, silent=True)
        flood.communicate(timeout=FLOOD_SECONDS + 10)
    finally:
        flood.kill()
        flood.wait()
        got, span = counter.result()
    found = {"lost": 1 - len(times) / FLOOD_PINGS, "pps": got / span if span else 0}
    if times:
        found |= {"p50_ms": quantile(times), "p99_ms": quantile(times, 0.99)}
    return found


def peak_reset(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def overload(rig):
    """Memory of the daemons at their largest while more packets come than they can carry: of the
    larger one, the process of it that carries them, in MB."""
    ends = rig.planes() if hasattr(rig, "planes") else [daemon.child.pid for daemon in rig.daemons]
    before = [memory(pid) for pid in ends]
    for pid in ends:
        peak_reset(pid)
    floods = {}
    for size in PACKET_SIZES:
        counter = Counter(rig)
        sent, took = send(rig, size, 0, FLOOD_SECONDS)
        got, span = counter.result()
        floods[f"flood{size}"] = {"offered_pps": sent / took, "got_pps": got / span if span else 0,
                                  "rss_mb": max(map(memory, ends)) / 1024}
    peaks = [memory(pid, "VmHWM") for pid in ends]
    return {"rss_mb_before": max(before) / 1024, "rss_mb_peak": max(peaks) / 1024, **floods}
