#!/usr/bin/env python3
"""Stock swanctl (Debian's, unpatched) as the operator's command of our ipsecd: every
command that the man page of swanctl(8) has and that Detour answers, with what it prints.

The connection 'from-file' comes from ipsec.conf, 'by-swanctl' from a swanctl.conf that
is loaded with --load-all. What only charon can do (certificates, pools, authorities) is
not exercised.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.strongswan import connections, swanctl  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

NAME = "by-swanctl"


def ask(pair, *words):
    return swanctl(pair.ours.socket_path, *words)


def says(output, *texts):
    for text in texts:
        check(text in output, f"'{text}' is missing in: {output}")


def load_all(pair, end):
    path = pair.ours.write("swanctl.conf", connections([end]))
    says(ask(pair, "--load-all", "--file", path), f"loaded connection '{NAME}'",
         f"loaded ike secret 'ike-{NAME}'", "successfully loaded 1 connections")
    says(ask(pair, "--load-conns", "--file", path), "successfully loaded 1 connections")
    says(ask(pair, "--load-creds", "--file", path), "loaded ike secret")
    check_equal(set(pair.ours.conns()), {"from-file", NAME}, "connections")
    # Without interface= the device has the connection's name and no address of its own.
    until("the device", lambda: pair.ours.link(NAME))
    pair.ours.namespace.address(NAME, *end.inside)
    pair.ours.namespace.route(end.remote_ts, "dev", NAME)


def list_conns(pair):
    says(ask(pair, "--list-conns"), "from-file: IKEv2", f"{NAME}: IKEv2", "pre-shared key",
         "10.1.1.0/24", "10.2.2.0/24", "local:  172.16.1.1", "remote: 172.16.2.1",
         "id: ours-2.example", "TUNNEL")


ON_DEMAND = """
connections {
    on-demand {
        remote_addrs = 172.16.2.77
        if_id_in = 0x4d
        if_id_out = 0x4d
        local { auth = psk }
        remote { auth = psk }
        children {
            on-demand {
                local_ts = 10.9.0.0/24
                remote_ts = 10.9.1.0/24
                start_action = trap
                set_mark_in = 0x1/0xff
                tfc_padding = mtu
                copy_df = no
                copy_ecn = no
                copy_dscp = yes
                replay_window = 4096
                priority = 5
                updown = /bin/true
                hostaccess = yes
            }
        }
    }
}
"""


def list_policies(pair, end):
    """A child that waits for traffic, with all that the kernel's plane is told of it."""
    path = pair.ours.write("on-demand.conf", connections([end]) + ON_DEMAND)
    says(ask(pair, "--load-conns", "--file", path), "successfully loaded 2 connections")
    says(ask(pair, "--list-pols"), "on-demand/on-demand, TUNNEL", "local:  10.9.0.0/24",
         "remote: 10.9.1.0/24")
    check("on-demand" not in ask(pair, "--list-pols", "--drop"), "there are traps only")
    check("on-demand" not in ask(pair, "--list-pols", "--child", "from-file"), "--child")
    path = pair.ours.write("swanctl.conf", connections([end]))
    says(ask(pair, "--load-conns", "--file", path), "1 unloaded")
    check_equal(ask(pair, "--list-pols").strip(), "", "policies")


def initiate(pair):
    says(ask(pair, "--initiate", "--child", NAME, "--timeout", "10"),
         "initiate completed successfully", "[IKE]")
    pair.both_up(NAME)
    pair.ping(NAME)


def list_sas(pair):
    output = ask(pair, "--list-sas")
    spi = pair.ours.children(NAME)[0]["spi-in"]
    says(output, f"{NAME}: #", "ESTABLISHED, IKEv2", "'ours-2.example' @ 172.16.1.2[4500]",
         "'theirs-2.example' @ 172.16.2.2[4500]", "AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519",
         "established", "INSTALLED, TUNNEL-in-UDP, ESP:AES_GCM_16-128", f"in  {spi}",
         "packets", "local  10.1.2.0/24", "remote 10.2.2.0/24")
    check(re.search(r" ([2-9]|\d\d+) packets", output), f"two pings were counted: {output}")
    says(ask(pair, "--list-sas", "--ike", NAME), NAME)
    check(NAME not in ask(pair, "--list-sas", "--ike", "from-file"), "--ike selects")
    says(ask(pair, "--list-sas", "--raw"), "list-sa event {", "child-sas {")


def rekey(pair):
    child, ike = pair.ours.children(NAME)[0]["spi-in"], pair.ours.sas(NAME)[0]["initiator-spi"]
    says(ask(pair, "--rekey", "--child", NAME), "rekey completed successfully")
    until("new CHILD_SA", lambda: child not in [c["spi-in"] for c in pair.ours.children(NAME)])
    says(ask(pair, "--rekey", "--ike", NAME), "rekey completed successfully")
    until("new IKE SA", lambda: ike not in [s["initiator-spi"] for s in pair.ours.sas(NAME)])
    pair.ping(NAME)


def terminate(pair):
    says(ask(pair, "--terminate", "--child", NAME), "terminate completed successfully")
    until("no CHILD_SA", lambda: not pair.ours.children(NAME))
    ask(pair, "--initiate", "--child", NAME)
    pair.both_up(NAME)
    says(ask(pair, "--terminate", "--ike", NAME), "terminate completed successfully")
    pair.both_down(NAME)


WRONG = """
connections {{
    wrong {{
        local_addrs = 172.16.1.1
        {line}
        local {{ auth = psk }}
        remote {{ auth = psk }}
        children {{ wrong {{ }} }}
    }}
}}
"""


def refused_addresses(pair, end):
    """What is wrong with a connection that is loaded: the key, its value, what was expected."""
    for line, words in (
            ("remote_addrs = 172.16.1.1",
             "remote_addrs='172.16.1.1': in local_addrs, too; expected an address of the peer"),
            ("remote_addrs = fd00::1", "remote_addrs='fd00::1': expected IPv4"),
            ("interface_ip = 10.9.0.0/24",
             "interface_ip='10.9.0.0/24': the network's own address; expected the address of a host"),
            (f"interface_ip = {pair.tunnels[0][0].inside[0]}",
             "is that of connection 'from-file' already: if that is to go, unload it first")):
        path = pair.ours.write("wrong.conf", connections([end]) + WRONG.format(line=line))
        fails(pair, ["--load-conns", "--file", path], words)
    check_equal(set(pair.ours.conns()), {"from-file", NAME}, "connections")


def fails(pair, words, *texts):
    try:
        output = ask(pair, *words)
    except RuntimeError as error:
        says(str(error), *texts)
    else:
        raise AssertionError(f"{words} succeeded: {output}")


def refused_commands(pair):
    """A wrong name is an error with a reason and a non-zero exit status."""
    for words in (["--initiate", "--child", "nobody"], ["--terminate", "--ike", "nobody"],
                  ["--rekey", "--ike", "nobody"]):
        fails(pair, words, "nobody")


def watch(pair, output, *words):
    return subprocess.Popen(["stdbuf", "-oL", "swanctl", *words,
                             "--uri", f"unix://{pair.ours.socket_path}"],
                            stdout=output, stderr=subprocess.STDOUT)


def seen_while(pair, words, texts, act):
    """Runs a watching command while act() goes on; its output must get all of `texts`."""
    before = clients(pair)
    path = pair.ours.path("watched")
    with open(path, "w", encoding="utf-8") as output:
        watcher = watch(pair, output, *words)

    def complete():
        with open(path, encoding="utf-8") as file:
            output = file.read()
        return all(text in output for text in texts)

    try:
        until(f"swanctl {words[0]} is connected", lambda: clients(pair) > before)
        # When it is registered for all of it nobody tells: it goes on until all was seen.
        until(f"{texts} in the output of swanctl {words[0]}", lambda: act() or complete(), 30)
    finally:
        watcher.terminate()
        watcher.wait()


def clients(pair):
    """Connections to the vici socket: the kernel lists them in the clients' namespace."""
    with open("/proc/net/unix", encoding="ascii") as table:
        return sum(line.rstrip().endswith(pair.ours.socket_path) for line in table)


def monitor_sa(pair):
    def up_and_down():
        pair.ours.initiate(NAME)
        pair.both_up(NAME)
        pair.ours.rekey_child(NAME)
        pair.take_down(NAME)
    seen_while(pair, ["--monitor-sa"], [f"{NAME}: #", "ESTABLISHED", "INSTALLED"], up_and_down)


def log(pair):
    def up_and_down():
        with pair.up(NAME, pair.ours):  # what we took down is not theirs to bring up
            pass
    seen_while(pair, ["--log"], ["[IKE]", NAME], up_and_down)


def stats_and_version(pair):
    says(ask(pair, "--stats"), "uptime:", "IKE_SAs: ")
    says(ask(pair, "--version"), "strongSwan swanctl")
    says(ask(pair, "--version", "--daemon"), "ipsecd")


def counters(pair):
    says(ask(pair, "--counters"), "ike-init-out-req", "ike-auth-out-req", "create-child-out-req")
    ask(pair, "--counters", "--reset")
    # Counters are the daemon's: no number is made up.
    fails(pair, ["--counters", "--name", NAME], f"no counters of connection '{NAME}' alone")


def list_algs(pair):
    says(ask(pair, "--list-algs"), "encryption:", "AES_CBC", "AES_GCM_16", "CHACHA20_POLY1305",
         "HMAC_SHA2_256_128", "PRF_HMAC_SHA2_512", "CURVE_25519", "ECP_521", "MODP_4096")


def other_commands(pair):
    """Commands that the daemon has nothing for: empty answers, not errors."""
    for word in ("--list-certs", "--list-authorities", "--list-pools"):
        check_equal(ask(pair, word).strip(), "", word)
    check_equal(ask(pair, "--reload-settings").strip(), "", "--reload-settings")


def unload(pair):
    """--load-all with nothing takes by-swanctl away, device and all, and not from-file."""
    path = pair.ours.write("swanctl.conf", "connections { }\n")
    says(ask(pair, "--load-all", "--file", path), "no connections found, 1 unloaded")
    check_equal(set(pair.ours.conns()), {"from-file"}, "connections")
    until("no device", lambda: not pair.ours.link(NAME))


def main():
    suite = Suite("swanctl")
    with Pair([tunnel("from-file", 1)]) as pair:
        ours, theirs = tunnel(NAME, 2)
        ours = change(ours, device=NAME)
        pair.add_tunnel(ours, theirs)
        for function, words in ((load_all, (ours,)), (list_conns, ()),
                                (list_policies, (ours,)), (refused_addresses, (ours,)),
                                (initiate, ()),
                                (list_sas, ()), (rekey, ()), (terminate, ()),
                                (refused_commands, ()), (monitor_sa, ()), (log, ()),
                                (stats_and_version, ()), (counters, ()), (list_algs, ()),
                                (other_commands, ()), (unload, ())):
            suite.case(function.__name__.replace("_", " "), function, pair, *words,
                       logs=(pair.ours,))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
