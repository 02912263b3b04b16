"""strongSwan's charon as the peer: charon-systemd, stock swanctl.

With kernel-libipsec it does ESP in userspace: always UDP-encapsulated, no extended
sequence numbers. KernelCharon has the kernel's IPsec (kernel-netlink) and vti devices that
are made by hand, as strongSwan's documentation has it.
"""
from . import vti
from .netns import run
from .peer import Peer

PLUGINS = ("random nonce drbg openssl kdf curve25519 chapoly gcm aes sha2 hmac pem pkcs1 "
           "x509 revocation constraints pubkey counters {plane} "
           "socket-default vici")

CONNECTION = """
    {end.name} {{
        version = 2
        mobike = no
        encap = {encap}
        local_addrs = {end.local}
        remote_addrs = {end.remote}
        proposals = {end.ike}
        dpd_delay = {end.dpd}s
        rekey_time = {ike_rekey}s
        {extra}
        local {{
            auth = psk
            id = {end.local_id}
        }}
        remote {{
            auth = psk
            id = {end.remote_id}
        }}
        children {{
            {children}
        }}
    }}
"""

CHILD = """
            {name} {{
                local_ts = {local_ts}
                remote_ts = {remote_ts}
                esp_proposals = {end.esp}
                rekey_time = {child_rekey}s
                start_action = {start}
                {extra}
            }}
"""

SECRET = """
    ike-{end.name} {{
        id-1 = {end.local_id}
        id-2 = {end.remote_id}
        secret = "{end.secret}"
    }}
"""

SETTINGS = """
charon-systemd {{
    load = {plugins}
    install_virtual_ip = no
    retransmit_timeout = {retransmit_timeout}
    retransmit_base = 1.2
    retransmit_tries = 4
    half_open_timeout = 15
    {settings}
    journal {{
        default = -1
    }}
    filelog {{
        log {{
            path = {log}
            default = 1
            ike = 2
            cfg = 1
            flush_line = yes
            append = yes
        }}
    }}
    plugins {{
        vici {{
            socket = unix://{socket}
        }}
    }}
}}
swanctl {{
    load = pem pkcs1 x509 openssl random
}}
"""


def connections(ends):
    """A swanctl.conf for these ends, secrets included."""
    return "".join(["connections {", *map(_connection, ends), "}\nsecrets {",
                    *(SECRET.format(end=end) for end in ends), "}\n"])


def _connection(end):
    children = [(end.name, end.local_ts, end.remote_ts), *end.more]
    return CONNECTION.format(end=end, ike_rekey=end.ike_rekey or 14400,
                             encap="yes" if end.encap else "no",
                             children="".join(_child(end, *child) for child in children),
                             extra="\n        ".join(end.extra))


def _child(end, name, local_ts, remote_ts):
    return CHILD.format(end=end, name=name, local_ts=local_ts, remote_ts=remote_ts,
                        child_rekey=end.child_rekey or 3600,
                        start="start" if end.auto == "start" else "none",
                        extra="\n                ".join(_child_extra(end)))


def _child_extra(end):
    """Marks of 0: none, as kernel-libipsec wants it."""
    marks = (f"mark_in = {end.mark}", f"mark_out = {end.mark}") if end.mark else ()
    return (*marks, *end.child_extra)


def swanctl(socket_path, *words, env=None):
    """Stock swanctl against any vici socket; its output."""
    settings = (f"{key}={value}" for key, value in (env or {}).items())
    return run("env", *settings, "swanctl", *words, "--uri", f"unix://{socket_path}")


class Charon(Peer):
    """charon in a namespace of its own, with nothing of the machine's own /run."""

    kind = "charon"
    plane = "kernel-libipsec kernel-netlink"

    def __init__(self, namespace, folder, settings="", retransmit_timeout=1.0):
        super().__init__(namespace, folder)
        self.write("strongswan.conf", SETTINGS.format(
            plugins=PLUGINS.format(plane=self.plane), log=self.path("log"), socket=self.socket_path,
            settings=settings, retransmit_timeout=retransmit_timeout))
        self.env = {"STRONGSWAN_CONF": self.path("strongswan.conf")}
        open(self.path("log"), "w", encoding="utf-8").close()

    def start(self, ends=()):
        self._launch()
        self.load(ends)
        return self

    def start_with(self, text):
        """With a swanctl.conf as an operator wrote it."""
        self._launch()
        return self._load_all(text)

    def _launch(self):
        self.launch(["sh", "-c", "mount -t tmpfs run /run && exec charon-systemd"], self.env)

    def _load_all(self, text):
        conf = self.write("swanctl.conf", text)
        return swanctl(self.socket_path, "--load-all", "--file", conf, env=self.env)

    def load(self, ends):
        """Loads these ends with stock swanctl; what is not among them goes away."""
        self.ends = list(ends)
        self._devices()
        return self._load_all(connections(self.ends))

    def _devices(self):
        for end in self.ends:
            for address in end.inside:
                self.namespace.address_once("lo", address.split("/")[0])


class KernelCharon(Charon):
    """charon over the kernel's XFRM. connmark and bypass-lan, which would meddle with
    marks and policies, are not among its plugins."""

    plane = "kernel-netlink"

    def __init__(self, namespace, folder, settings="", retransmit_timeout=1.0):
        super().__init__(namespace, folder, "install_routes = no\n    " + settings,
                         retransmit_timeout)

    def _devices(self):
        vti.make(self.namespace, self.ends)
