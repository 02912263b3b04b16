#!/usr/bin/env python3
"""Virtual addresses (RFC 7296 2.19) with strongSwan: we as client of its pools, and it as client
of ours. Both families, given addresses, name servers, rekeying, reauthentication, pools that are
full; and stock swanctl's commands for pools against our vici socket.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.pair import Pair, Pinging, answered  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.strongswan import PLUGINS, Charon, connections, swanctl  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402
from tests.support.vici import Failed  # noqa: E402

IPSECCTL = os.path.join(ROOT, "build/bin/ipsecctl")

# kernel-libipsec routes from a virtual address, so it has to be on a device.
INSTALL = "install_virtual_ip = yes"
# The plugin asks for name servers; /run is charon's own.
RESOLVE = f"""
    load = {PLUGINS.format(plane=Charon.plane)} resolve
    plugins {{
        resolve {{
            file = /run/resolv.conf
        }}
    }}"""

POOLS = """
pools {
    p4 { addrs = 10.33.0.0/24
         dns = 10.33.255.1 }
    p6 { addrs = fd33::/112
         dns = fd33:ffff::53 }
    one { addrs = 10.34.0.1/32 }
}
"""


def vips(peer, name, side):
    sas = [sa for sa in peer.sas(name) if sa["state"] == "ESTABLISHED"]
    return sas[0].get(f"{side}-vips", []) if len(sas) == 1 else None


def selectors(peer, name, side):
    return [ts for child in peer.children(name) for ts in child[f"{side}-ts"]]


def wait_vips(peer, name, side, wanted):
    until(f"{peer.kind}: {side}-vips of {name} are {wanted}",
          lambda: vips(peer, name, side) == wanted)


# -- we are the client --

def we_get(pair, name, wanted, names):
    pair.ours.initiate(name)
    pair.both_up(name)
    check_equal(vips(pair.ours, name, "local"), wanted, "our addresses")
    check_equal(vips(pair.theirs, name, "remote"), wanted, "what charon gave")
    check_equal(selectors(pair.ours, name, "local"),
                [a + ("/128" if ":" in a else "/32") for a in wanted], "our selectors")
    check_equal(selectors(pair.theirs, name, "remote"), selectors(pair.ours, name, "local"),
                "charon's selectors")
    check_equal(pair.ours.sas(name)[0].get("dns", []), names, "name servers")


def all_answered(pair, *ping):
    """With -w, ping sends on until it has so many answers: a late one is no loss."""
    output = pair.ours.namespace.run(*ping, "-c", "2", "-w", "10", check=False)
    check({1, 2} <= answered(output), f"{' '.join(ping)}: {output.strip()}")


def pinged(pair, name):
    """From the address we were given, which is on the device."""
    end = pair.end(name, pair.ours)
    for address in vips(pair.ours, name, "local"):
        target = next(t for t in end.ping if (":" in t) == (":" in address))
        until(f"{address} on {end.device}", lambda address=address: address in
              pair.ours.namespace.ip("addr", "show", "dev", end.device))
        ping = ("ping", "-n", "-i", "0.02", "-I", address, target)
        # charon says INSTALLED before its way back to the address is there.
        until("a first answer", lambda ping=ping: " 1 received" in pair.ours.namespace.run(
            *ping, "-c", "1", "-W", "1", check=False))
        all_answered(pair, *ping)


def rekeyed(pair, name, peer, before):
    spi = peer.sas(name)[0]["initiator-spi"]
    peer.rekey_ike(name)
    until("a new IKE_SA", lambda: [sa["initiator-spi"] for sa in peer.sas(name)] not in ([spi], []))
    until("the old one is gone", lambda: len(pair.ours.sas(name)) == 1 and
          len(pair.theirs.sas(name)) == 1)
    for who, side in before:
        wait_vips(who, name, side, before[(who, side)])


def we_keep(pair, name, wanted):
    before = {(pair.ours, "local"): wanted, (pair.theirs, "remote"): wanted}
    rekeyed(pair, name, pair.ours, before)
    rekeyed(pair, name, pair.theirs, before)
    pair.ours.rekey_child(name)
    until("one CHILD_SA", lambda: len(pair.ours.children(name)) == 1)
    check_equal(selectors(pair.ours, name, "local"),
                [a + ("/128" if ":" in a else "/32") for a in wanted], "selectors")


def we_reauthenticate(pair, name, wanted):
    spi = pair.ours.sas(name)[0]["initiator-spi"]
    target = pair.end(name, pair.ours).ping[0]
    with Pinging(pair.ours.namespace, wanted[0], target, "0.01") as pings:
        pair.ours.control.request("rekey", {"ike": name, "reauth": "yes"})
        until("a new IKE_SA alone", lambda: len(pair.ours.sas(name)) == 1 and
              pair.ours.sas(name)[0]["initiator-spi"] != spi)
    check_equal(vips(pair.ours, name, "local"), wanted, "our addresses")
    wait_vips(pair.theirs, name, "remote", wanted)
    pings.check_no_loss()


def we_can_not_for_them(pair, name):
    try:
        pair.ours.control.request("rekey", {"ike": name, "reauth": "yes"})
    except Failed as failure:
        check("it has to reauthenticate" in str(failure), f"we say: {failure}")
    else:
        raise AssertionError("we reauthenticate an IKE_SA whose peer has addresses from us")


def we_come_again(pair, name, wanted):
    pair.take_down(name)
    device = pair.end(name, pair.ours).device
    until("no address is left on the device", lambda: "inet " not in
          pair.ours.namespace.ip("addr", "show", "dev", device))
    pair.ours.initiate(name)
    pair.both_up(name)
    check_equal(vips(pair.ours, name, "local"), wanted, "our addresses")
    pair.take_down(name)


def they_have_none(pair, first, second):
    pair.ours.initiate(first)
    pair.both_up(first)
    why = pair.ours.try_initiate(second)
    check("INTERNAL_ADDRESS_FAILURE" in why, f"we are told: {why}")
    pair.ours.terminate(second)
    pair.take_down(first)


def they_want_us_to_ask(pair, name):
    why = pair.ours.try_initiate(name)
    check("FAILED_CP_REQUIRED" in why, f"we are told: {why}")
    pair.ours.terminate(name)


# -- they are the client --

def they_get(pair, name, wanted):
    pair.theirs.initiate(name)
    pair.both_up(name)
    check_equal(vips(pair.theirs, name, "local"), wanted, "charon's addresses")
    check_equal(vips(pair.ours, name, "remote"), wanted, "what we gave")
    check_equal(selectors(pair.theirs, name, "local"), selectors(pair.ours, name, "remote"),
                "selectors")
    check_equal(sorted(selectors(pair.ours, name, "remote")),
                sorted(a + ("/128" if ":" in a else "/32") for a in wanted), "selectors")


def they_get_names(pair, name, wanted):
    """charon's resolve plugin says what it does with them."""
    mark = pair.theirs.log_mark()
    pair.theirs.initiate(name)
    pair.both_up(name)
    for server in wanted:
        pair.theirs.wait_log(f"installing DNS server {server} to", mark)


def they_are_pinged(pair, name):
    end = pair.end(name, pair.ours)
    for address in vips(pair.theirs, name, "local"):
        pair.ours.namespace.route(address, "dev", end.device)
        source = next(i for i in end.inside if (":" in i) == (":" in address)).split("/")[0]
        all_answered(pair, "ping", "-n", "-i", "0.02", "-I", source, address)


def they_keep(pair, name, wanted):
    before = {(pair.theirs, "local"): wanted, (pair.ours, "remote"): wanted}
    rekeyed(pair, name, pair.theirs, before)
    rekeyed(pair, name, pair.ours, before)


def they_reauthenticate(pair, name, wanted):
    """charon breaks before it makes; what it had is kept for it."""
    spi = pair.theirs.sas(name)[0]["initiator-spi"]
    pair.theirs.control.request("rekey", {"ike": name, "reauth": "yes"})
    until("a new IKE_SA", lambda: [sa["initiator-spi"] for sa in pair.theirs.sas(name)
                                   if sa["state"] == "ESTABLISHED"] not in ([spi], []))
    pair.both_up(name)
    wait_vips(pair.theirs, name, "local", wanted)
    wait_vips(pair.ours, name, "remote", wanted)


def we_have_none(pair, first, second):
    mark = pair.theirs.log_mark()
    check_equal(len(vips(pair.theirs, first, "local")), 1, "the one address is taken")
    pair.theirs.try_initiate(second)
    pair.theirs.wait_log("INTERNAL_ADDRESS_FAILURE", mark)
    check("no pool has a free address" in pair.ours.log(), "our log says why")
    pair.theirs.terminate(second)
    pair.ours.wait_down(second)


def we_want_them_to_ask(pair, name):
    mark = pair.theirs.log_mark()
    pair.theirs.try_initiate(name)
    pair.theirs.wait_log("FAILED_CP_REQUIRED", mark)
    pair.theirs.terminate(name)
    pair.ours.wait_down(name)


def pools_are_shown(pair, identity):
    text = swanctl(pair.ours.socket_path, "--list-pools", "--leases")
    for word in ("both  ", "both-2  ", identity, "online", "10.44.0.1", "fd44::1"):
        check(word in text, f"'{word}' is missing in: {text}")
    text = pair.ours.namespace.run(IPSECCTL, "--vici", pair.ours.socket_path, "pools")
    for word in ("both: 10.44.0.1-10.44.0.254, 1 of 254 in use", f"online   {identity}"):
        check(word in text, f"'{word}' is missing in: {text}")
    pools = json.loads(pair.ours.namespace.run(IPSECCTL, "--vici", pair.ours.socket_path, "--json",
                                               "pools", "both"))
    check_equal(pools["both"]["online"], 1, "online")


# -- stock swanctl and our pools --

BY_SWANCTL = """
pools {{
    loaded {{
        addrs = {addrs}
        dns = 10.46.255.1, fd46::53
    }}
}}
"""


def load_pools(pair, addrs, *words):
    path = pair.ours.write("pools.conf", BY_SWANCTL.format(addrs=addrs))
    text = swanctl(pair.ours.socket_path, "--load-pools", "--file", path)
    for word in words:
        check(word in text, f"'{word}' is missing in: {text}")


def pools_of_swanctl(pair, name):
    load_pools(pair, "10.46.0.0/28", "loaded pool 'loaded'", "successfully loaded 1 pools")
    text = swanctl(pair.ours.socket_path, "--list-pools", "--name", "loaded")
    check("10.46.0.0" in text and " 14" in text, f"list-pools: {text}")
    they_get(pair, name, ["10.46.0.1"])
    pair.theirs.wait_log("processing INTERNAL_IP6_DNS")


def busy_pool_stays(pair):
    path = pair.ours.write("pools.conf", BY_SWANCTL.format(addrs="10.47.0.0/28"))
    answer = subprocess.run(["swanctl", "--load-pools", "--file", path, "--uri",
                             f"unix://{pair.ours.socket_path}"], capture_output=True, text=True,
                            check=False)
    check("1 addresses are in use" in answer.stdout + answer.stderr,
          f"swanctl: {answer.stdout}{answer.stderr}")


def pool_is_unloaded(pair, name):
    pair.take_down(name)
    empty = pair.ours.write("pools.conf", "pools {\n}\n")
    swanctl(pair.ours.socket_path, "--load-pools", "--file", empty)
    text = swanctl(pair.ours.socket_path, "--list-pools", "--name", "loaded")
    check("10.46.0.0" not in text, f"list-pools: {text}")


# -- the ends --

def we_ask(name, n, sourceip, pools, inside=(4,), **fields):
    ours, theirs = tunnel(name, n, inside=inside)
    extra = (f"leftsourceip={sourceip}",) if sourceip else ()
    return (change(ours, local_ts="%dynamic", inside=(), extra=extra, **fields),
            change(theirs, remote_ts="dynamic", extra=(f"pools = {pools}",), **fields))


def they_ask(name, n, asked, sourceip, inside=(4,), dns="", **fields):
    ours, theirs = tunnel(name, n, inside=inside)
    names = (f"rightdns={dns}",) if dns else ()
    extra = (f"vips = {asked}",) if asked else ()
    return (change(ours, remote_ts="%dynamic", extra=(f"rightsourceip={sourceip}", *names),
                   **fields),
            change(theirs, local_ts="dynamic", inside=(), extra=extra, **fields))


def start_with(pair):
    path = pair.theirs.write("pools.conf", connections([t for _, t in pair.tunnels]) + POOLS)
    swanctl(pair.theirs.socket_path, "--load-all", "--file", path, env=pair.theirs.env)


def clients(suite):
    tunnels = [we_ask("v4", 1, "%config", "p4"),
               we_ask("v6", 2, "%config6", "p6", inside=(6,)),
               we_ask("both", 3, "%config4,%config6", "p4, p6", inside=(4, 6)),
               we_ask("wish", 4, "10.33.0.77", "p4"),
               we_ask("one", 5, "%config", "one"), we_ask("none", 6, "%config", "one"),
               we_ask("silent", 7, "", "p4"),
               we_ask("wish6", 8, "fd33::77", "p6", inside=(6,))]
    with Pair(tunnels, setup="install-virtual-ip=yes") as pair:
        start_with(pair)
        logs = (pair.ours, pair.theirs)
        suite.case("we get an IPv4 address", we_get, pair, "v4", ["10.33.0.1"], ["10.33.255.1"],
                   logs=logs)
        suite.case("we use it", pinged, pair, "v4", logs=logs)
        suite.case("we get an IPv6 address", we_get, pair, "v6", ["fd33::1"], ["fd33:ffff::53"],
                   logs=logs)
        suite.case("we use it, IPv6", pinged, pair, "v6", logs=logs)
        suite.case("we get both in one CHILD_SA", we_get, pair, "both", ["10.33.0.2", "fd33::2"],
                   ["10.33.255.1", "fd33:ffff::53"], logs=logs)
        suite.case("we use both", pinged, pair, "both", logs=logs)
        suite.case("rekeying keeps both", we_keep, pair, "both", ["10.33.0.2", "fd33::2"],
                   logs=logs)
        suite.case("reauthentication keeps ours", we_reauthenticate, pair, "v4", ["10.33.0.1"],
                   logs=logs)
        suite.case("we take another one than we wish for", we_get, pair, "wish", ["10.33.0.3"],
                   ["10.33.255.1"], logs=logs)
        suite.case("the same with IPv6", we_get, pair, "wish6", ["fd33::3"], ["fd33:ffff::53"],
                   logs=logs)
        suite.case("we come again", we_come_again, pair, "v4", ["10.33.0.1"], logs=logs)
        suite.case("they have none left", they_have_none, pair, "one", "none", logs=logs)
        suite.case("they want us to ask", they_want_us_to_ask, pair, "silent", logs=logs)


def servers(suite):
    both = ["10.44.0.1", "fd44::1"]
    tunnels = [they_ask("both", 1, "0.0.0.0, ::", "10.44.0.0/24,fd44::/112", inside=(4, 6)),
               they_ask("wish", 2, "10.45.0.77", "10.45.0.0/24"),
               they_ask("choice", 3, "10.45.9.9", "%config"),
               they_ask("one", 4, "0.0.0.0", "10.48.0.1"),
               they_ask("none", 5, "0.0.0.0", "10.48.0.1"),
               they_ask("silent", 6, "", "10.45.0.0/24"),
               they_ask("named", 7, "0.0.0.0", "%wish"),
               they_ask("loaded", 8, "0.0.0.0", "%loaded"),
               they_ask("wish6", 9, "fd45::77", "fd45::/112", inside=(6,)),
               they_ask("names", 10, "0.0.0.0, ::", "10.49.0.0/24,fd49::/112", inside=(4, 6),
                        dns="10.49.255.1,fd49:ffff::53")]
    with Pair(tunnels, charon_settings=INSTALL + RESOLVE) as pair:
        logs = (pair.ours, pair.theirs)
        suite.case("they get both", they_get, pair, "both", both, logs=logs)
        suite.case("they are reached", they_are_pinged, pair, "both", logs=logs)
        suite.case("pools are shown", pools_are_shown, pair, "theirs-1.example", logs=logs)
        suite.case("rekeying keeps theirs", they_keep, pair, "both", both, logs=logs)
        suite.case("reauthentication keeps theirs", they_reauthenticate, pair, "both", both,
                   logs=logs)
        suite.case("we don't reauthenticate for them", we_can_not_for_them, pair, "both",
                   logs=logs)
        suite.case("they get what they wish for", they_get, pair, "wish", ["10.45.0.77"],
                   logs=logs)
        suite.case("they get the IPv6 address they wish for", they_get, pair, "wish6",
                   ["fd45::77"], logs=logs)
        suite.case("they are told name servers", they_get_names, pair, "names",
                   ["10.49.255.1", "fd49:ffff::53"], logs=logs)
        suite.case("they choose", they_get, pair, "choice", ["10.45.9.9"], logs=logs)
        suite.case("a connection's name is a pool's", they_get, pair, "named", ["10.45.0.1"],
                   logs=logs)
        suite.case("they get the only one", they_get, pair, "one", ["10.48.0.1"], logs=logs)
        suite.case("we have none left", we_have_none, pair, "one", "none", logs=logs)
        suite.case("they have to ask", we_want_them_to_ask, pair, "silent", logs=logs)
        suite.case("swanctl --load-pools", pools_of_swanctl, pair, "loaded", logs=logs)
        suite.case("a pool in use is not replaced", busy_pool_stays, pair, logs=logs)
        suite.case("a pool is unloaded", pool_is_unloaded, pair, "loaded", logs=logs)


def make_before_break(suite):
    wanted = ["10.44.0.1", "fd44::1"]
    tunnels = [they_ask("mbb", 1, "0.0.0.0, ::", "10.44.0.0/24,fd44::/112", inside=(4, 6))]
    with Pair(tunnels, charon_settings=f"{INSTALL}\n    make_before_break = yes") as pair:
        logs = (pair.ours, pair.theirs)
        suite.case("they get both, once more", they_get, pair, "mbb", wanted, logs=logs)
        suite.case("reauthentication, make before break", they_reauthenticate, pair, "mbb", wanted,
                   logs=logs)


def main():
    suite = Suite("virtual-ip")
    clients(suite)
    servers(suite)
    make_before_break(suite)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
