"""A router that translates addresses: by iptables' own tables, as User Mode Linux has no nat in
nftables; and where a kernel has no such tables either (as Debian's User Mode Linux since they are
called legacy), by tc's ct action, whose connections are the same."""
import socket
import struct

from . import netns

NETLINK_NETFILTER = 12
CTNL_DELETE = 0x0102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE
NLM_F_REQUEST, NLM_F_ACK = 1, 4


def _iptables(router, *words, **options):
    return router.run("iptables-legacy", "-t", "nat", *words, **options)


def _has_tables(router):
    return "POSTROUTING" in _iptables(router, "-L", "-n", check=False)


def _ct(router, device, way, pref, match, *action):
    router.run("tc", "filter", "add", "dev", device, way, "protocol", "ip", "pref", str(pref),
               *match, "action", "ct", *action, "pass")


def _ct_masquerade(router, outside, ports):
    """One filter each way; to a connection that is known, either does what was done first."""
    address = router.run("ip", "-4", "-o", "addr", "show", "dev", outside).split()[3]
    source = ("commit", "nat", "src", "addr", address.split("/")[0])
    router.run("tc", "qdisc", "add", "dev", outside, "clsact")
    if ports:
        _ct(router, outside, "egress", 1, ("flower", "ip_proto", "udp"), *source, "port", ports)
    _ct(router, outside, "egress", 2, ("matchall",), *source)
    _ct(router, outside, "ingress", 9, ("matchall",), "nat")


def masquerade(router, outside, ports=None):
    """What leaves by that device has the router's own address; UDP from these ports."""
    if not _has_tables(router):
        _ct_masquerade(router, outside, ports)
        return
    if ports:
        _iptables(router, "-A", "POSTROUTING", "-o", outside, "-p", "udp", "-j", "MASQUERADE",
                  "--to-ports", ports)
    _iptables(router, "-A", "POSTROUTING", "-o", outside, "-j", "MASQUERADE")


def forward_ike(router, outside, inside_host):
    """IKE from outside goes to one host inside. After masquerade()."""
    tables = _has_tables(router)
    for number, port in enumerate(("500", "4500"), 1):
        if tables:
            _iptables(router, "-A", "PREROUTING", "-i", outside, "-p", "udp", "--dport", port,
                      "-j", "DNAT", "--to-destination", inside_host)
        else:
            _ct(router, outside, "ingress", number,
                ("flower", "ip_proto", "udp", "dst_port", port),
                "commit", "nat", "dst", "addr", inside_host)


def clear(router):
    if _has_tables(router):
        _iptables(router, "-F")
    else:
        for device in router.links():
            router.run("tc", "qdisc", "del", "dev", device, "clsact", check=False)
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
