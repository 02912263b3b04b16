"""Two TUN devices, one in each of two namespaces, with a process between that carries packets:
a tunnel without IPsec."""
import subprocess
import sys

from .tun import Tun

RELAY = """
import ctypes, fcntl, os, select, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
fds = []
for place in sys.argv[1:]:
    namespace, name = place.split("/")
    ns = os.open("/var/run/netns/" + namespace, os.O_RDONLY)
    if libc.setns(ns, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH", name.encode(), 0x0001 | 0x1000))
    fds.append(fd)
print("ready", flush=True)
while True:
    ready = select.select(fds + [0], [], [])[0]
    if 0 in ready:
        break
    for fd in ready:
        try:
            packet = os.read(fd, 65536)
            os.write(fds[1 - fds.index(fd)], packet)
        except OSError:  # a device that is down
            pass
"""


class End(Tun):
    """One of the devices."""

    def __init__(self, namespace, name, pair, *addresses):  # pylint: disable=super-init-not-called
        self.namespace, self.name, self.pair = namespace, name, pair
        self.set("mode", "dormant")
        namespace.address(name, *addresses)
        self.set("up")
        self.dormant()

    def remove(self):
        self.pair.remove()


class TunPair:
    """pair.ends: the two devices, DORMANT as Tun's."""

    def __init__(self, a, name_a, b, name_b, addresses=((), ())):
        self.relay = subprocess.Popen(
            [sys.executable, "-c", RELAY, f"{a.name}/{name_a}", f"{b.name}/{name_b}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.relay.stdout.readline() != b"ready\n":
            raise AssertionError(f"no TUN devices {name_a}, {name_b}")
        self.ends = (End(a, name_a, self, *addresses[0]), End(b, name_b, self, *addresses[1]))

    def remove(self):
        if self.relay.poll() is None:
            self.relay.stdin.close()
            self.relay.wait()
        self.relay.stdout.close()
