"""A router that translates addresses, by iptables' own tables: User Mode Linux has no nat in
nftables."""
import socket
import struct

from . import netns

NETLINK_NETFILTER = 12
CTNL_DELETE = 0x0102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE
NLM_F_REQUEST, NLM_F_ACK = 1, 4


def _iptables(router, *words):
    router.run("iptables-legacy", "-t", "nat", *words)


def masquerade(router, outside, ports=None):
    """What leaves by that device has the router's own address; UDP from these ports."""
    if ports:
        _iptables(router, "-A", "POSTROUTING", "-o", outside, "-p", "udp", "-j", "MASQUERADE",
                  "--to-ports", ports)
    _iptables(router, "-A", "POSTROUTING", "-o", outside, "-j", "MASQUERADE")


def forward_ike(router, outside, inside_host):
    """IKE from outside goes to one host inside."""
    for port in ("500", "4500"):
        _iptables(router, "-A", "PREROUTING", "-i", outside, "-p", "udp", "--dport", port,
                  "-j", "DNAT", "--to-destination", inside_host)


def clear(router):
    _iptables(router, "-F")
    forget(router)


def forget(router):
    """All mappings, as a router does that is switched off and on."""
    with netns.socket_of(router, socket.AF_NETLINK, socket.SOCK_RAW,
                         NETLINK_NETFILTER) as sock:
        body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
        sock.send(struct.pack("=IHHII", 16 + len(body), CTNL_DELETE, NLM_F_REQUEST | NLM_F_ACK,
                              1, 0) + body)
        error = struct.unpack("=i", sock.recv(4096)[16:20])[0]
        if error:
            raise OSError(-error, "conntrack flush")
