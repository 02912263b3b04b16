"""What the lab prints at its end and writes to result.json."""
import json
import os
import re

from shell import say


def picture(readme):
    """The first fenced block of the lab's README."""
    with open(readme) as source:
        blocks = source.read().split("```")
    return blocks[1].strip("\n") if len(blocks) > 2 else ""


def load_plan(path):
    with open(path) as source:
        return json.load(source)


def routes(site):
    """As vtysh shows them, without the explanation of the letters."""
    say(f"-- vtysh at {site.name}: show ip route bgp; show ip route nhrp")
    for kind in ("bgp", "nhrp"):
        for line in site.vtysh(f"show ip route {kind}").splitlines():
            if re.match(r"[BN][>* ]|  [* ] .*via", line):
                say("   " + line)


def peers(site):
    say(f"-- vtysh at {site.name}: show bgp summary")
    found = site.vtysh_json("show bgp ipv4 unicast summary").get("peers", {})
    for address, peer in sorted(found.items()):
        say(f"   {address:<16} AS {peer['remoteAs']:<6} {peer['state']:<12} "
            f"{peer.get('pfxRcd', 0)} prefixes, up {peer['peerUptime']}")


def table(results):
    columns = ["event", "sent", "lost", "gap ms", "fib ms", "leaked", "path"]
    rows = [[r["name"], r["sent"], r["lost"], r["gap_ms"],
             "-" if r["fib_ms"] is None else r["fib_ms"], r["leaked"], " -> ".join(r["path"])] for r in results]
    widths = [max(len(str(row[i])) for row in rows + [columns]) for i in range(len(columns))]
    say()
    for row in [columns, ["-" * w for w in widths]] + rows:
        say("  " + "  ".join(str(cell).ljust(w) if i in (0, 6) else str(cell).rjust(w)
                             for i, (cell, w) in enumerate(zip(row, widths))))
    say("\n  lost: datagrams that never came back; gap: the longest time without an answer;"
        "\n  fib: from the event to another way in the near site's kernel; leaked: inner packets"
        "\n  on the near site's outer interface in clear")


def checks(lab, found):
    say()
    for name, what, ok, wanted, seen in found:
        say(f"  {'ok    ' if ok else 'FAILED'} {name}: {what} {seen} (expected {wanted})")
    failed = sum(not ok for _, _, ok, _, _ in found)
    say(f"{lab}: {len(found) - failed} passed, {failed} failed")
    return failed


def write(path, content):
    """One event a line."""
    head = {key: value for key, value in content.items() if key != "events"}
    lines = ",\n  ".join(json.dumps(event) for event in content["events"])
    with open(path + ".new", "w") as out:
        out.write(json.dumps(head)[:-1] + ', "events": [\n  ' + lines + "\n]}\n")
    os.replace(path + ".new", path)
