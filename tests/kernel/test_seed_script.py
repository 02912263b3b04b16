#!/usr/bin/env python3
"""The set-up of "VTI Tunnel Interface with strongSwan" as it is written: its ipsec.conf and its
script, unchanged but for what stands in <> there, against an ipsecd and a strongSwan that hand
out addresses of both families. The script makes the device when the tunnel comes up, and removes
it by the same name when it goes down; in between the SAs are rekeyed and reauthenticated."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.ipsecd import IpsecdOf  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import child_spis, ike_spis, sent_too_early  # noqa: E402
from tests.support.routers import Internet, Site  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.strongswan import KernelCharon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.pair import Pinging  # noqa: E402

SITES = (Site("client", "192.0.2.2", "192.0.2.1", "192.0.2.17", "192.0.2.16/28"),
         Site("vpngw", "198.51.100.2", "198.51.100.1", "198.51.100.17", "198.51.100.16/28"))
TUNNELED = "198.51.100.16/28"
BEHIND = "198.51.100.17"
POOLS = ("203.0.113.0/28", "2001:db8:99::/120")

# The page's script, /usr/local/sbin/ipsec-notify.sh.
SCRIPT = '''#!/bin/bash

set -o nounset
set -o errexit

VTI_IF="vti${PLUTO_UNIQUEID}"

case "${PLUTO_VERB}" in
    up-client)
        ip tunnel add "${VTI_IF}" mode vti \\
			local "${PLUTO_ME}" remote "${PLUTO_PEER}" \\
            okey "${PLUTO_MARK_OUT%%/*}" ikey "${PLUTO_MARK_IN%%/*}"
        ip link set "${VTI_IF}" up
        ip addr add ${PLUTO_MY_SOURCEIP} dev "${VTI_IF}"
        ip route add <tunneled-network> dev "${VTI_IF}"
        sysctl -w "net.ipv4.conf.${VTI_IF}.disable_policy=1"
        ;;
    down-client)
        ip tunnel del "${VTI_IF}"
        ;;
esac
'''
# The page's conn; authentication is in the %default that it leaves out.
CONF = '''
conn <vpngw>
    leftupdown=/usr/local/sbin/ipsec-notify.sh
    left=%defaultroute
    leftsourceip=%config4,%config6
    rightsubnet=0.0.0.0/0,::/0
    right=<vpngw_ip>
    rightid=<vpngw_id>
    auto=route
    mark=2
'''
DEFAULT = '''
conn %default
    authby=secret
    leftid=@client.example
    {reauth}
'''
SECRETS = '@client.example @vpngw.example : PSK "a secret of this test"\n'
RESPONDER = f'''
conn clients
    left=198.51.100.2
    leftid=@vpngw.example
    leftsubnet=0.0.0.0/0,::/0
    right=%any
    rightid=@client.example
    rightsourceip={",".join(POOLS)}
    authby=secret
    interface=clients
    mark=7
    auto=add
'''
SWANCTL = f'''
connections {{
    clients {{
        version = 2
        mobike = no
        local_addrs = 198.51.100.2
        pools = four, six
        local {{
            auth = psk
            id = vpngw.example
        }}
        remote {{
            auth = psk
            id = client.example
        }}
        children {{
            clients {{
                local_ts = 0.0.0.0/0, ::/0
                mark_in = 7
                mark_out = 7
            }}
        }}
    }}
}}
pools {{
    four {{
        addrs = {POOLS[0]}
    }}
    six {{
        addrs = {POOLS[1]}
    }}
}}
secrets {{
    ike-clients {{
        id-1 = client.example
        id-2 = vpngw.example
        secret = "a secret of this test"
    }}
}}
'''
SO_MARK = 36
NAME = "vpngw"
INTERVAL = 0.02  # of pings


def fill(text):
    for placeholder, value in (("<vpngw>", NAME), ("<vpngw_ip>", "198.51.100.2"),
                               ("<vpngw_id>", "@vpngw.example"),
                               ("<tunneled-network>", TUNNELED)):
        text = text.replace(placeholder, value)
    return text


def install_script():
    """In its place; that folder is covered, and gone with this kernel."""
    netns.run("mount", "-t", "tmpfs", "sbin", "/usr/local/sbin")
    with open("/usr/local/sbin/ipsec-notify.sh", "w", encoding="utf-8") as file:
        file.write(fill(SCRIPT))
    os.chmod("/usr/local/sbin/ipsec-notify.sh", 0o755)


def our_vpngw(net):
    gateway = net.add(IpsecdOf(net.ns["vpngw"], net.path("vpngw"), RESPONDER, SECRETS)).start()
    until("the device of the clients", lambda: gateway.link("clients"))
    routes_to_clients(net, "clients")
    return gateway


def routes_to_clients(net, device):
    for pool in POOLS:
        net.ns["vpngw"].route(pool, "dev", device)


def their_vpngw(net):
    """strongSwan with a vti made by hand for its one client."""
    gateway = net.add(KernelCharon(net.ns["vpngw"], net.path("vpngw")))
    net.ns["vpngw"].ip("link", "add", "name", "clients", "type", "vti", "local", "198.51.100.2",
                       "remote", "192.0.2.2", "key", "7")
    net.ns["vpngw"].ip("link", "set", "dev", "clients", "mtu", "1380", "up")
    net.ns["vpngw"].sysctl("net.ipv4.conf.clients.disable_policy", 1)
    routes_to_clients(net, "clients")
    gateway.start_with(SWANCTL)
    return gateway


class Client:
    """What one run of the cases looks at."""

    def __init__(self, net, gateway):
        self.net, self.gateway = net, gateway
        self.ns = net.ns["client"]
        conf = fill(DEFAULT.format(reauth="") + CONF)
        self.daemon = net.add(IpsecdOf(self.ns, net.path("client"), conf, SECRETS)).start()
        self.device = None

    def scripts_devices(self):
        return [name for name in self.ns.links() if name.startswith("vti")]

    def knock(self):
        """A packet for the tunnel: it has the mark, as those that a rule of the operator marks."""
        with netns.socket_of(self.ns, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, SO_MARK, 2)
            sock.sendto(b"first", (BEHIND, 9))

    def first_packet(self):
        check_equal(self.scripts_devices(), [], "devices before the first packet")

        def up():
            self.knock()
            return self.daemon.is_up(NAME)
        until("the tunnel is up", up, 20, interval=0.2)
        self.device = until("the script's device", self.scripts_devices)[0]
        until("it is taken over and UP", lambda: self.daemon.operstate(self.device) == "UP")

    def addresses(self):
        """The script puts one of the virtual addresses on its device; we put none."""
        shown = until("a virtual address", lambda: "inet 203.0.113." in (
            text := self.ns.ip("-o", "address", "show")) and text)
        check("2001:db8:99" not in shown, "an address that the script did not set is there")
        until("the script's route", lambda: f"{TUNNELED} dev {self.device}" in self.ns.ip("route"))

    def source(self):
        shown = self.ns.ip("-o", "-4", "address", "show", "dev", self.device)
        return shown.split("inet ")[1].split("/")[0].split(" ")[0]

    def pinging(self):
        return Pinging(self.ns, self.source(), BEHIND, str(INTERVAL))

    def traffic(self):
        with Sniffer(self.net.middle, "to-client") as way, self.pinging() as pinging:
            until("ten pings", lambda: way.seen["esp"] + way.seen["ike"] > 20)
        pinging.check_no_loss()
        check(not way.clear, f"in clear on the way: {way.clear[:3]}")

    def changes(self, what, spis, peer, borne=lambda log: 0):
        before, mark = spis(self.daemon, NAME), self.daemon.log_mark()
        with self.pinging() as pinging:
            what(peer)
            until("new SPIs", lambda: not before & spis(self.daemon, NAME), 15)
            said = pinging.said().count("ttl=")
            until("pings go on", lambda: pinging.said().count("ttl=") > said + 20)
        pinging.check_no_loss(borne(self.daemon.log(mark)))
        check_equal(self.scripts_devices(), [self.device], "the script's device")
        check_equal(self.daemon.operstate(self.device), "UP", "its state")

    def rekeys(self):
        for peer, name in ((self.daemon, NAME), (self.gateway, "clients")):
            self.changes(lambda p, n=name: p.rekey_child(n), child_spis, peer)
            self.changes(lambda p, n=name: p.rekey_ike(n), ike_spis, peer)

    def reauthentication(self):
        """charon sends by its new CHILD_SA before its answer is with us, and the kernel drops what
        has no state yet (tests/kernel/test_life.py)."""
        self.changes(lambda p: p.control.request("rekey", {"ike": NAME, "reauth": "yes"}), ike_spis, self.daemon,
                     lambda log: sent_too_early(log, INTERVAL) if self.gateway.kind == "charon" else 0)

    def down(self):
        """down-client removes it by the name that the first run gave it."""
        self.daemon.terminate(NAME)
        until("the script has removed its device", lambda: not self.scripts_devices())
        self.gateway.wait_down("clients")
        check("vti" not in self.ns.ip("route"), "no route is left")

    def again(self):
        """The same tunnel has the same name again."""
        device = self.device
        self.daemon.initiate(NAME)
        until("the script's device", lambda: self.scripts_devices() == [device])
        self.daemon.terminate(NAME)
        until("the script has removed its device", lambda: not self.scripts_devices())


def main():
    suite = Suite("seed-script")
    install_script()
    for whose, gateway_of in (("our gateway", our_vpngw), ("strongSwan's", their_vpngw)):
        with Internet(SITES) as net:
            client = Client(net, gateway_of(net))
            for name, function in (("the first packet brings it up", client.first_packet),
                                   ("addresses and routes are the script's", client.addresses),
                                   ("packets pass, nothing in clear", client.traffic),
                                   ("pain_02_hook_identity: rekeys", client.rekeys),
                                   ("reauthentication", client.reauthentication),
                                   ("down-client removes the device", client.down),
                                   ("and up again", client.again)):
                suite.case(f"{whose}: {name}", function, logs=(client.daemon, client.gateway))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
