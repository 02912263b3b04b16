"""Medians, ratios and tables of what was measured.

`rounds` is a list of {peer: {row: {field: number}}}: what failed or was not asked for is not
there, and nothing is made of it."""
import statistics

from . import chart
from .ike import FEW, MANY, PEERS

AT_LEAST, AT_MOST = ">=", "<="

# Key of summary.json, what it is, goal.
GOALS = {
    "tcp1_vs_tungso": ("TCP 1 stream / bare tunnel with offloads", AT_LEAST, 0.9),
    "tcp4_vs_tungso": ("TCP 4 streams / bare tunnel with offloads", AT_LEAST, 0.9),
    "tcp1_vs_strongswan": ("TCP 1 stream / strongSwan", AT_LEAST, 8),
    "tcp1_vs_openvpn": ("TCP 1 stream / OpenVPN", AT_LEAST, 4),
    "tcp1_nogso_vs_tungso": ("TCP, cable without offloads / bare with offloads", AT_LEAST, 0.9),
    "tcp1_nogso_vs_strongswan": ("TCP, cable without offloads / strongSwan", AT_LEAST, 4),
    "cpu_per_gb_vs_tungso": ("CPU s/GB, both ends / bare with offloads", AT_MOST, 1.15),
    "udp64_vs_tungso": ("UDP 64 B pkt/s / bare with offloads", AT_LEAST, 1.2),
    "udp64_vs_strongswan": ("UDP 64 B pkt/s / strongSwan", AT_LEAST, 5),
    "latency_p50_vs_tunfwd": ("ping p50 / bare, one packet a call", AT_MOST, 1.2),
    "loaded_ping_p99_vs_strongswan": ("ping p99 beside a TCP stream / strongSwan", AT_MOST, 0.5),
    "plane_rss_mb_overload": ("memory of the plane under overload, MB", AT_MOST, 16),
    f"ike_cpu_ms_at_{FEW}": (f"IKE responder, ms CPU/SA at {FEW:,} SAs", AT_MOST, 0.30),
    f"ike_cpu_ms_at_{MANY}": (f"IKE responder, ms CPU/SA at {MANY:,} SAs", AT_MOST, 0.30),
    "ike_kib_per_sa": ("memory per idle SA pair in ike, KiB", AT_MOST, 4),
    "plane_kib_per_sa": ("memory per idle SA pair in plane, KiB", AT_MOST, 2),
    f"start_{PEERS}_s": (f"start with {PEERS:,} peers, s", AT_MOST, 2),
    "reload_one_ms": ("reload that changes one of them, ms", AT_MOST, 50),
}

# More ratios of a round that the tables show.
FURTHER = {
    "udp1372_vs_tungso": ("UDP 1372 B pkt/s / bare with offloads", AT_LEAST, 1.2),
    "udp1372_vs_strongswan": ("UDP 1372 B pkt/s / strongSwan", AT_LEAST, 5),
    "tcp1_vs_wireguard_go_new": ("TCP 1 stream / new wireguard-go", AT_LEAST, 2),
    f"ike_cpu_{MANY}_vs_{FEW}": (f"IKE CPU/SA, {MANY:,} / {FEW:,} SAs", AT_MOST, 1.1),
}

RATIOS = {  # key: row, field, the other peer
    "tcp1_vs_tungso": ("tcp1", "mbps", "bare_offload"),
    "tcp4_vs_tungso": ("tcp4", "mbps", "bare_offload"),
    "tcp1_vs_strongswan": ("tcp1", "mbps", "strongswan"),
    "tcp1_vs_openvpn": ("tcp1", "mbps", "openvpn"),
    "tcp1_nogso_vs_tungso": ("nogso", "mbps", "bare_offload"),
    "tcp1_nogso_vs_strongswan": ("nogso", "mbps", "strongswan"),
    "cpu_per_gb_vs_tungso": ("tcp1", "cpu_per_gb", "bare_offload"),
    "udp64_vs_tungso": ("udp64", "pps", "bare_offload"),
    "udp64_vs_strongswan": ("udp64", "pps", "strongswan"),
    "latency_p50_vs_tunfwd": ("ping", "p50_ms", "bare_one"),
    "loaded_ping_p99_vs_strongswan": ("loaded", "p99_ms", "strongswan"),
    "udp1372_vs_tungso": ("udp1372", "pps", "bare_offload"),
    "udp1372_vs_strongswan": ("udp1372", "pps", "strongswan"),
    "tcp1_vs_wireguard_go_new": ("tcp1", "mbps", "wireguard_go_new"),
}

TABLE = (  # words, row, field, what to divide by, digits
    ("TCP 1 stream, Mbit/s", "tcp1", "mbps", 1, 0),
    ("TCP 4 streams, Mbit/s", "tcp4", "mbps", 1, 0),
    ("TCP, cable without offloads", "nogso", "mbps", 1, 0),
    ("CPU s/GB, sender", "tcp1", "cpu_sender", 1, 2),
    ("CPU s/GB, receiver", "tcp1", "cpu_receiver", 1, 2),
    ("UDP 64 B, k pkt/s", "udp64", "pps", 1000, 1),
    ("UDP 1372 B, k pkt/s", "udp1372", "pps", 1000, 1),
    ("ping least, ms", "ping", "min_ms", 1, 3),
    ("ping p50, ms", "ping", "p50_ms", 1, 3),
    ("beside a stream: p50, ms", "loaded", "p50_ms", 1, 2),
    ("beside a stream: p99, ms", "loaded", "p99_ms", 1, 2),
    ("beside a stream: lost, %", "loaded", "lost", 0.01, 1),
    ("beside a flood: p50, ms", "flood", "p50_ms", 1, 2),
    ("beside a flood: p99, ms", "flood", "p99_ms", 1, 2),
    ("beside a flood: lost, %", "flood", "lost", 0.01, 1),
)


def values(rounds, peer, row, field):
    return [r[peer][row][field] for r in rounds if field in r.get(peer, {}).get(row, {})]


def ratios(rounds, row, field, other):
    """Ours to the other's, round by round."""
    both = [(r["ipsecd"][row][field], r[other][row][field]) for r in rounds
            if all(field in r.get(peer, {}).get(row, {}) for peer in ("ipsecd", other))]
    return [ours / theirs for ours, theirs in both if theirs]


def lists(result):
    """Every figure with a goal, as the list of what the rounds gave."""
    found = {key: ratios(result["rounds"], *of) for key, of in RATIOS.items()}
    if "ipsecd" in result["overload"]:
        found["plane_rss_mb_overload"] = [result["overload"]["ipsecd"]["rss_mb_peak"]]
    engine = result["engine"]
    if engine:
        blocks = engine["blocks"]
        found[f"ike_cpu_ms_at_{FEW}"] = [b["few"] for b in blocks]
        found[f"ike_cpu_ms_at_{MANY}"] = [b["many"] for b in blocks]
        found[f"ike_cpu_{MANY}_vs_{FEW}"] = [b["many"] / b["few"] for b in blocks]
    for key in ("ike_kib_per_sa", "plane_kib_per_sa"):
        if key in result["responders"]:
            found[key] = [result["responders"][key]]
    if result["many_peers"]:
        found[f"start_{PEERS}_s"] = [result["many_peers"]["start_s"]]
        found["reload_one_ms"] = result["many_peers"]["reload_ms"]
    return {key: of for key, of in found.items() if of}


def summary(result):
    """Medians by the keys of GOALS; None: not measured, or it failed."""
    found = lists(result)
    return {key: statistics.median(found[key]) if key in found else None for key in GOALS}


def spreads(result):
    return {key: [min(of), max(of)] for key, of in lists(result).items()}


def spread(of, digits):
    if not of:
        return "-"
    text = f"{statistics.median(of):.{digits}f}"
    return f"{text} ({min(of):.{digits}f}-{max(of):.{digits}f})" if len(of) > 1 else text


def show_rounds(result, labels):
    rounds = result["rounds"]
    peers = [peer for peer in labels if any(r.get(peer) for r in rounds)]
    if not peers:
        return
    print(f"\nmedian (least-most) of {len(rounds)} rounds")
    print(f"{'':28}" + "".join(f"{labels[peer]:>22}" for peer in peers))
    for words, row, field, unit, digits in TABLE:
        cells = [[v / unit for v in values(rounds, peer, row, field)] for peer in peers]
        if any(cells):
            print(f"{words:28}" + "".join(f"{spread(cell, digits):>22}" for cell in cells))


def show_rest(result, labels):
    for peer, of in result["overload"].items():
        print(f"overload: {labels[peer]}: {of['rss_mb_before']:.1f} MB before, "
              f"{of['rss_mb_peak']:.1f} at most")
    handshakes = result["responders"].get("rounds", [])
    for peer in labels:
        costs = [r[peer]["responder_ms"] for r in handshakes if peer in r]
        if costs:
            print(f"responder: {labels[peer]}: ms CPU for a tunnel, all of the daemon: {spread(costs, 2)}")
    if "role_ms" in result["responders"]:
        roles = ", ".join(f"{role} {ms:.2f}" for role, ms in result["responders"]["role_ms"].items())
        print(f"responder: ipsecd by process: {roles}; KiB for an SA pair: ike "
              f"{result['responders']['ike_kib_per_sa']:.1f}, plane "
              f"{result['responders']['plane_kib_per_sa']:.1f}")
    engine = result["engine"]
    if engine:
        print(f"engine alone: X25519 {engine['x25519_ms']:.3f} ms of it; with records for a daemon that "
              f"survives {spread([b['published'] for b in engine['blocks']], 3)} ms at {FEW:,} SAs; "
              f"a configured connection {engine['conn_kib']:.1f} KiB")
    many = result["many_peers"]
    if many:
        print(f"{many['peers']:,} devices by a program that does nothing else: {many['devices_alone_s']:.2f} s; "
              f"a start takes {many['start_s'] / many['devices_alone_s']:.2f} times as long")
        memory = ", ".join(f"{role} {mb:.0f}" for role, mb in many["rss_mb"].items())
        print(f"{many['peers']:,} peers: MB {memory}; messages of the kernel about devices and addresses "
              f"during {len(many['reload_ms'])} reloads: {many['device_events']}")


def show_goals(result):
    found = lists(result)
    print(f"\n{'':50}{'median (least-most)':>26}{'goal':>10}")
    for key, (words, sign, goal) in {**GOALS, **FURTHER}.items():
        if key in found:
            median = statistics.median(found[key])
            met = median >= goal if sign == AT_LEAST else median <= goal
            print(f"{words:50}{spread(found[key], 3 if goal < 1 else 2):>26}{sign:>5} {goal:g}"
                  + ("" if met else "   missed"))


def show(result, labels):
    show_rounds(result, labels)
    print()
    show_rest(result, labels)
    show_goals(result)
    for peer, rows in result["failed"].items():
        for row, why in rows.items():
            print(f"FAILED: {labels.get(peer, peer)}, {row}: {why}")


# ---- charts ----

def _group(rounds, peers, words, row, field, unit=1):
    found = {peer: [v / unit for v in values(rounds, peer, row, field)] for peer in peers}
    return words, {peer: (statistics.median(v), min(v), max(v)) for peer, v in found.items() if v}


def charts(result, labels, folder):
    """SVG files; their names."""
    rounds, made = result["rounds"], []

    def bars(name, title, unit, groups, peers=tuple(labels)):
        groups = [g for g in (_group(rounds, peers, *of) for of in groups) if g[1]]
        if groups:
            chart.bars(f"{folder}/{name}.svg", title, unit, groups, labels)
            made.append(f"{name}.svg")

    bars("tcp", "TCP through the tunnel", "Mbit/s", [
        ("1 stream", "tcp1", "mbps"), ("4 streams", "tcp4", "mbps"),
        ("1 stream, cable without offloads", "nogso", "mbps")])
    bars("cpu", "CPU time of the daemons", "CPU seconds per GB", [
        ("sender", "tcp1", "cpu_sender"), ("receiver", "tcp1", "cpu_receiver")])
    bars("udp", "UDP with at most 0.1 % lost", "thousand packets per second", [
        ("64 bytes", "udp64", "pps", 1000), ("1372 bytes", "udp1372", "pps", 1000)])
    bars("latency", "ping through an idle tunnel, p50", "ms", [("idle", "ping", "p50_ms")])
    bars("loaded", "ping while a TCP stream fills the tunnel", "ms", [
        ("p50", "loaded", "p50_ms"), ("p99", "loaded", "p99_ms")])
    if result["overload"]:
        peaks = {peer: (of["rss_mb_peak"],) * 3 for peer, of in result["overload"].items()}
        chart.bars(f"{folder}/memory.svg", "Memory under overload, at most", "MB resident",
                   [("4 s of UDP, as fast as it goes", peaks)], labels)
        made.append("memory.svg")
    engine = result["engine"]
    if engine:
        chart.line(f"{folder}/ike.svg", "IKE responder: CPU time for an SA", "SAs that are there",
                   "ms CPU (engine, one IKE_SA with CHILD_SA; mean of 1,000)",
                   [(s["sas"], s["responder_ms"]) for s in engine["steps"]],
                   [("goal 0.30", 0.3), ("X25519 alone", engine["x25519_ms"])])
        made.append("ike.svg")
    return made
