"""What the lab prints at its end and writes to result.json."""
import json
import os
import re

from shell import say
from summary import goal_words


MANY = 120  # checks


def picture(readme):
    """The first fenced block of the lab's README."""
    with open(readme) as source:
        blocks = source.read().split("```")
    return blocks[1].strip("\n") if len(blocks) > 2 else ""


def routes(site):
    """As vtysh shows them, without the explanation of the letters."""
    say(f"-- vtysh at {site.name}: show ip route bgp; show ip route nhrp")
    for kind in ("bgp", "nhrp"):
        for line in site.vtysh(f"show ip route {kind}").splitlines():
            if re.match(r"[BN][>* ]|  [* ] .*via", line):
                say("   " + line)


def peers(site):
    say(f"-- vtysh at {site.name}: show bgp summary")
    for address, peer in sorted(site.bgp_peers().items()):
        say(f"   {address:<16} AS {peer['remoteAs']:<6} {peer['state']:<12} "
            f"{peer.get('pfxRcd', 0)} prefixes, up {peer['peerUptime']}")


def _aligned(columns, rows, left):
    """`left`: the numbers of the columns that are texts."""
    widths = [max(len(str(row[i])) for row in rows + [columns]) for i in range(len(columns))]
    say()
    for row in [columns, ["-" * w for w in widths]] + rows:
        say(("  " + "  ".join(str(cell).ljust(w) if i in left else str(cell).rjust(w)
                              for i, (cell, w) in enumerate(zip(row, widths)))).rstrip())


def _number(value):
    return "-" if value is None else value


def table(results):
    columns = ["event", "sent", "lost", "gap ms", "hole ms", "fib ms", "leaked", "repeats",
               "alarms", "stall ms", "path"]
    rows = [[" ".join([r["name"]] + ([r["link"]] if "link" in r else [])), r["sent"], r["lost"],
             r["gap_ms"], r["blackhole_ms"], _number(r["fib_ms"]), r["leaked"], r["repeats"],
             r["alarms"], r["stall_ms"], " -> ".join(r["path"])] for r in results]
    _aligned(columns, rows, (0, 10))
    say("\n  lost: datagrams that never came back; gap: the longest time without an answer;"
        "\n  hole: the longest time in which whatever was sent got lost; fib: from the event to"
        "\n  another way in the near site's kernel; leaked: inner packets on the near site's outer"
        "\n  interface in clear; repeats: datagrams that left one tunnel device twice;"
        "\n  alarms: BFD sessions that went down, counted at all sites; stall: the longest time that"
        "\n  the machine did nothing for us")


def goals(summary):
    columns = ["event", "runs", "lost worst", "gap median", "gap worst", "hole median",
               "hole worst", "aimed at"]
    rows = [[e["name"], e["runs"], e["lost_worst"], e["gap_ms_median"], e["gap_ms_worst"],
             e["blackhole_ms_median"], e["blackhole_ms_worst"], goal_words(e)] for e in summary]
    _aligned(columns, rows, (0, 7))
    say("\n  times in ms; the worst of a busy machine is its scheduler's")


def check_words(check):
    name, what, _, wanted, seen = check
    return f"{name}: {what} {seen} (expected {wanted})"


def checks(lab, found):
    """All of them, but of many only those that failed."""
    say()
    for check in found:
        if check[2] and len(found) > MANY:
            continue
        say(f"  {'ok    ' if check[2] else 'FAILED'} {check_words(check)}")
    failed = sum(not check[2] for check in found)
    say(f"{lab}: {len(found) - failed} passed, {failed} failed")
    return failed


def _lines(entries):
    return "[\n  " + ",\n  ".join(json.dumps(entry) for entry in entries) + "\n]"


def write(path, head, summary, events):
    """One event a line."""
    with open(path + ".new", "w") as out:
        out.write(json.dumps(head)[:-1] + f', "summary": {_lines(summary)}, '
                  f'"events": {_lines(events)}' + "}\n")
    os.replace(path + ".new", path)
