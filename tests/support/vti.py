"""vti devices made by hand, for peers that make none of their own: one per end, with its mark as
key, the inside addresses and routes to the networks behind the other end."""


def kind_of(end):
    return "vti6" if ":" in end.local else "vti"


def commands(end):
    """For ip -batch."""
    remote = "" if end.remote == "%any" else f"remote {end.remote}"
    yield (f"link add name {end.device} type {kind_of(end)} local {end.local} {remote} "
           f"key {end.mark}")
    # The kernel's own MTU leaves no room for ESP; this one fits all ciphers, encapsulated.
    yield f"link set dev {end.device} mtu 1380 up"
    for address in end.inside:
        yield f"address add {address} dev {end.device}"
    for network in end.remote_ts.split(","):
        if network == "dynamic":  # virtual addresses: the test knows which
            continue
        yield f"route replace {network} dev {end.device}"


def make(namespace, ends):
    """Those that are not there yet."""
    there = namespace.links()
    new = [end for end in ends if end.device not in there and end.mark]
    namespace.batch(command for end in new for command in commands(end))
    for end in new:
        namespace.sysctl(f"net.ipv4.conf.{end.device}.disable_policy", 1)
        namespace.sysctl(f"net.ipv4.conf.{end.device}.rp_filter", 2)


def remove(namespace, ends):
    there = namespace.links()
    namespace.batch(f"link del dev {end.device}" for end in ends if end.device in there)
