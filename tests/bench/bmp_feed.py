#!/usr/bin/env python3
"""Feeds build/bench/bmp_table as a bgpd with PEERS peers and PREFIXES prefixes would, and prints
how long it takes, what it keeps in memory, and how long a peer's end takes:
    python3 tests/bench/bmp_feed.py [PREFIXES] [PEERS] [DIFFERENT-AS-PATHS]"""
import json
import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.poll import until  # noqa: E402

TABLE = os.path.join(ROOT, "build/bench/bmp_table")
PORT = 17999
MARKER = b"\xff" * 16
OURS = 65001


def bmp(kind, body):
    return struct.pack(">BIB", 3, 6 + len(body), kind) + body


def bgp(kind, body):
    return MARKER + struct.pack(">HB", 19 + len(body), kind) + body


def header(peer, flags):
    address = bytes(12) + bytes((10, 9, peer, 1))
    return struct.pack(">BBQ", 0, flags, 0) + address + struct.pack(
        ">IIII", 65100 + peer, 0x0a000000 + peer, 0, 0)


def open_message(asn):
    capability = struct.pack(">BBBBI", 2, 6, 65, 4, asn)
    return bgp(1, struct.pack(">BHHIB", 4, asn, 9, 1, len(capability)) + capability)


def peer_up(peer):
    return bmp(3, header(peer, 0) + bytes(12) + bytes((10, 9, peer, 0)) + b"\0\xb3\0\xb3" +
               open_message(OURS) + open_message(65100 + peer))


def route(head, peer, number, different):
    path = (OURS, 65100 + peer, 100000 + number % different, 200000 + number % different % 97, 300000)
    attributes = (b"\x40\x01\x01\x00" + struct.pack(">BBHBB5I", 0x50, 2, 22, 2, 5, *path) +
                  b"\x40\x03\x04" + bytes((10, 9, peer, 1)))
    prefix = struct.pack(">BI", 24, 0x0a000000 + (number << 8))[:4]
    return bmp(0, head + bgp(2, struct.pack(">HH", 0, len(attributes)) + attributes + prefix))


def table(prefixes, peers, different):
    """As bgpd tells it: prefix by prefix, each in a message of its own."""
    heads = [header(peer, 0x40) for peer in range(peers)]
    stream = [bmp(4, struct.pack(">HH", 1, 5) + b"bench")]
    stream += [peer_up(peer) for peer in range(peers)]
    stream += [route(heads[peer], peer, number, different)
               for number in range(prefixes) for peer in range(peers)]
    stream += [bmp(0, head + bgp(2, bytes(4))) for head in heads]
    return b"".join(stream)


class Table:
    def __init__(self):
        self.process = subprocess.Popen([TABLE, f"127.0.0.1:{PORT}", "/nonexistent"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) != ".\n":
            lines.append(json.loads(line))
        return lines

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) / 1024 for line in status if "VmRSS" in line)


def connect():
    def attempt():
        try:
            return socket.create_connection(("127.0.0.1", PORT))
        except ConnectionRefusedError:
            return None
    return until("the table listens", attempt)


def main():
    prefixes, peers, different = [int(word) for word in sys.argv[1:4]] + \
        [100000, 3, 1000][len(sys.argv) - 1:]
    stream = table(prefixes, peers, different)
    program = Table()
    sock = connect()
    memory, cpu, start = program.memory(), program.cpu(), time.monotonic()
    sock.sendall(stream)
    until("all is there", lambda: program.ask("count")[0]["paths"] == prefixes * peers, 120)
    took, cpu = time.monotonic() - start, program.cpu() - cpu
    count = program.ask("count")[0]
    print(f"{prefixes} prefixes x {peers} peers, {count['attrs']} sets of attributes: "
          f"{len(stream) / 1e6:.0f} MB told in {took:.2f} s ({cpu:.2f} s of CPU), "
          f"{program.memory() - memory:.0f} MB of memory")
    cpu, start = program.cpu(), time.monotonic()
    sock.sendall(bmp(2, header(0, 0) + struct.pack(">BH", 2, 0)))
    until("the peer is gone", lambda: program.ask("count")[0]["peers_up"] == peers - 1)
    print(f"Peer Down of one with {prefixes} paths: {(time.monotonic() - start) * 1e3:.0f} ms "
          f"({(program.cpu() - cpu) * 1e3:.0f} ms of CPU)")
    sock.close()
    program.process.stdin.close()
    program.process.wait()


if __name__ == "__main__":
    main()
