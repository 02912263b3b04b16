#!/usr/bin/env python3
"""install-routes=yes: routes in table 220 come and go with the links, a blackhole lies beneath,
the way to the peers stays outside, and nothing is left at the end.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import rekeyed  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

ELSEWHERE = "203.0.113.7"


class Table:
    """Table 220 of our gateway."""

    def __init__(self, pair):
        self.namespace = pair.namespaces[0]

    def routes(self, family="-4"):
        text = self.namespace.ip(family, "route", "show", "table", "220", check=False)
        return sorted(" ".join(line.split()) for line in text.splitlines() if "FIB table" not in line)

    def line(self, prefix, metric=1024):
        """The route to prefix of that metric."""
        for line in self.routes("-6" if ":" in prefix else "-4"):
            if f" {prefix} " in f" {line} " and f"metric {metric}" in line:
                return line
        return ""

    def wait(self, prefix, *words, metric=1024):
        until(f"route to {prefix} with {words}",
              lambda: all(word in self.line(prefix, metric) for word in words), 15)

    def wait_none(self, prefix, metric=1024):
        until(f"no route to {prefix}", lambda: not self.line(prefix, metric), 15)

    def rules(self):
        return [line for family in ("-4", "-6")
                for line in self.namespace.ip(family, "rule").splitlines() if "lookup 220" in line]

    def way(self, address):
        """What the kernel would do with a packet to there."""
        return self.namespace.ip("route", "get", address, check=False)


def up_and_down(pair, table, name):
    end = pair.end(name, pair.ours)
    networks = end.remote_ts.split(",")
    for network in networks:
        table.wait(network, "blackhole", metric=65000)
        check(not table.line(network), "no route while the tunnel is down")
        check("Invalid argument" in table.way(network.split("/")[0]) or
              "blackhole" in table.way(network.split("/")[0]), "blackholed while it is down")
    with pair.up(name, pair.ours):  # pings, without routes in the main table
        for network, inside in zip(networks, end.inside):
            table.wait(network, f"dev {end.device}", "src " + inside.split("/")[0])
        before = table.routes(), table.routes("-6")
        with pair.pinging(name) as pinging:
            for start in (pair.ours.rekey_child, pair.theirs.rekey_child):
                rekeyed(pair, name, start)
                one_of_each(pair.ours, name)
        pinging.check_no_loss()
        check_equal((table.routes(), table.routes("-6")), before, "routes after rekeys")
    for network in networks:
        table.wait_none(network)
        table.wait(network, "blackhole", metric=65000)


def outer_path_stays_outside(pair, table, name):
    """A tunnel that takes everything: not the way to its own and to the other peers."""
    end = pair.end(name, pair.ours)
    with pair.up(name, pair.ours):
        table.wait("default", f"dev {end.device}")
        check(f"dev {end.device}" in table.way(ELSEWHERE), "everything goes that way")
        for peer in ("172.16.2.1", "172.16.2.2"):
            check("dev eth0" in table.way(peer), f"{peer} is reached outside")
        pair.ours.rekey_ike(name)
        one_of_each(pair.ours, name)
        pair.ping(name)
    table.wait_none("default")
    check("dev" not in table.way(ELSEWHERE) or "blackhole" in table.way(ELSEWHERE),
          "nothing leaves in clear")


def device_set_down_and_up(pair, table, name):
    end = pair.end(name, pair.ours)
    network = end.remote_ts.split(",")[0]
    with pair.up(name, pair.ours):
        table.wait(network, f"dev {end.device}")
        table.namespace.ip("link", "set", end.device, "down")
        table.wait_none(network)
        table.namespace.ip("link", "set", end.device, "up")
        table.wait(network, f"dev {end.device}")
        until("pings pass again", lambda: pair.ping(name) or True, 10)


def switched_off_and_on(pair, table):
    check_equal(len(table.rules()), 2, "rules")
    pair.ours.setup = "install-routes=no"
    reload(pair)
    until("the table is empty", lambda: not table.routes() + table.routes("-6"))
    check_equal(table.rules(), [], "rules")
    pair.ours.setup = "install-routes=yes"
    reload(pair)
    table.wait("default", "blackhole", metric=65000)
    check_equal(len(table.rules()), 2, "rules")


def strange_rules(table):
    """Rules of our protocol in the place of ours, as many as plane lets be."""
    for rule in table.namespace.ip("rule").splitlines():
        if "lookup 220" in rule:
            table.namespace.ip("rule", "del", "pref", rule.split(":")[0], "table", "220")
    for preference in range(1000, 1016):
        table.namespace.ip("rule", "add", "pref", str(preference), "table", "220", "protocol", "68")


def killed(pair, table, name):
    """What a daemon left that was killed goes once the next one has its connections."""
    network = pair.end(name, pair.ours).remote_ts.split(",")[0]
    ends, rules = pair.ours.ends, table.rules()
    pair.ours.kill()
    table.wait(network, "blackhole", metric=65000)
    strange_rules(table)
    check_equal(len(table.rules()), 17, "rules")
    pair.ours.start([end for end in ends if end.name != name])
    main_routes(pair, False)
    table.wait_none(network, metric=65000)
    table.wait("default", "blackhole", metric=65000)
    until("our own rules, and no others", lambda: table.rules() == rules)
    pair.ours.load(ends)
    main_routes(pair, False)
    table.wait(network, "blackhole", metric=65000)


def ended(pair, table):
    """Where the devices outlive the daemon, so does what keeps packets from leaving in clear."""
    check_equal(pair.ours.stop(), 0, "exit status")
    left = table.routes() + table.routes("-6")
    if pair.ours.plane == "kernel":
        check(any(line.startswith("blackhole default") for line in left), f"blackholes: {left}")
        check_equal([line for line in left if line.split()[0] not in ("blackhole", "throw")], [],
                    "routes through devices")
        table.namespace.run(pair.ours.binary, "--flush", "--vici", pair.ours.socket_path)
        left = table.routes() + table.routes("-6")
    check_equal(left + table.rules(), [], "what is left")


def reload(pair):
    pair.ours.load(pair.ours.ends)
    main_routes(pair, False)


def main_routes(pair, wanted):
    """The harness puts routes into the main table, which these tests are not about."""
    for end in pair.ours.ends:
        for network in end.remote_ts.split(","):
            if not wanted:
                family = "-6" if ":" in network else "-4"
                pair.namespaces[0].ip(family, "route", "del", network, "dev", end.device, check=False)


def main(pair_kind=Pair, tunnel_of=tunnel):
    suite = Suite("install-routes")
    ours, theirs = tunnel_of("all", 2)
    everything = (change(ours, remote_ts="0.0.0.0/0"), change(theirs, local_ts="0.0.0.0/0"))
    with pair_kind([tunnel_of("net", 1, inside=(4, 6)), everything]) as pair:
        table = Table(pair)
        pair.ours.setup = "install-routes=yes"
        reload(pair)
        for title, function, *args in (
                ("up and down", up_and_down, "net"),
                ("the outer path stays outside", outer_path_stays_outside, "all"),
                ("a device set down and up", device_set_down_and_up, "net"),
                ("switched off and on", switched_off_and_on),
                ("after kill -9", killed, "net"),
                ("at the end", ended)):
            suite.case(title, function, pair, table, *args, logs=(pair.ours,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
