"""TUN devices with a reader, so that they have a carrier, in a network namespace."""
import subprocess
import sys

HOLDER = """
import fcntl, os, struct, sys, threading
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH", sys.argv[1].encode(), 0x0001 | 0x1000))
print("ready", flush=True)
threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(fd, 65536), b"")],
                 daemon=True).start()
sys.stdin.read()
"""


class Tun:
    """Made as ipsecd makes its devices: linkmode dormant, admin up, DORMANT."""

    def __init__(self, namespace, name, *addresses):
        self.namespace = namespace
        self.name = name
        self.holder = subprocess.Popen(namespace.argv(sys.executable, "-c", HOLDER, name),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"ready\n":
            raise AssertionError(f"no TUN device {name}")
        self.set("mode", "dormant")
        namespace.address(name, *addresses)
        self.set("up")
        self.dormant()

    def set(self, *words):
        self.namespace.ip("link", "set", "dev", self.name, *words)

    def up(self):
        self.set("state", "up")

    def dormant(self):
        self.set("state", "dormant")

    def remove(self):
        if self.holder.poll() is None:
            self.holder.stdin.close()
            self.holder.wait()
        self.holder.stdout.close()
