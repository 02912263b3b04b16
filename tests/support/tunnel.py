"""A tunnel as both ends' configurations describe it, in neutral words.

An End is what one side believes. ipsecd.py and strongswan.py write it in their own
dialects; a test that wants a mismatch changes one End with dataclasses.replace.
"""
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class End:
    name: str
    local: str            # outer addresses
    remote: str
    local_id: str
    remote_id: str
    inside: tuple         # own addresses inside the tunnel, with the prefix length
    ping: tuple           # addresses that the other end answers on
    local_ts: str
    remote_ts: str
    device: str           # of the tunnel, where the daemon owns one
    secret: str
    ike: str = "aes128gcm16-prfsha256-x25519"
    esp: str = "aes128gcm16"
    auto: str = "add"
    dpd: int = 0          # seconds between liveness checks, 0: none
    child_rekey: int = 0  # seconds after which this side rekeys, 0: its default
    ike_rekey: int = 0
    more: tuple = ()      # further children: (name, local_ts, remote_ts) each
    extra: tuple = ()     # further lines in the dialect of the side
    child_extra: tuple = ()  # the same, where that dialect has children apart
    device_kind: str = ""  # "vti", "xfrm": where the daemon makes the device
    encap: bool = False   # ESP in UDP even without a NAT
    mark: int = 0         # of the kernel's policies, and key of a vti made by hand


def tunnel(name, n, outer=4, inside=(4,), **both):
    """Tunnel number n between our and their gateway: (our end, their end).

    Outer addresses are 172.16.1.n and 172.16.2.n (or fd00:1::n and fd00:2::n), the
    networks behind the gateways 10.1.n.0/24 and 10.2.n.0/24 (fd01:n::/64, fd02:n::/64).
    """
    def outer_of(side):
        return f"172.16.{side}.{n}" if outer == 4 else f"fd00::{side}:{n:x}"

    def host(side, family):
        return f"10.{side}.{n}.1/24" if family == 4 else f"fd0{side}:{n:x}::1/64"

    def network(side, family):
        return f"10.{side}.{n}.0/24" if family == 4 else f"fd0{side}:{n:x}::/64"

    def end(here, there, who, whom):
        return End(name=name, local=outer_of(here), remote=outer_of(there),
                   local_id=f"{who}-{n}.example", remote_id=f"{whom}-{n}.example",
                   inside=tuple(host(here, f) for f in inside),
                   ping=tuple(host(there, f).split("/")[0] for f in inside),
                   local_ts=",".join(network(here, f) for f in inside),
                   remote_ts=",".join(network(there, f) for f in inside),
                   device=f"tun{n}", secret=f"secret of {name}", **both)

    return end(1, 2, "ours", "theirs"), end(2, 1, "theirs", "ours")


def change(end, **fields):
    return replace(end, **fields)
