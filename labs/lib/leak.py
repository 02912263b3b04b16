"""leak.py INTERFACE NETWORK...: prints "ready", and for each line of standard input how many
IPv4 packets with a source or destination in one of these networks passed the interface in clear.
The kernel filters: of a thousand ESP packets a second none reaches this process."""
import ctypes
import ipaddress
import select
import socket
import struct
import sys

ETH_P_ALL, SO_ATTACH_FILTER = 0x0003, 26
PROTOCOL = 0xfffff000  # SKF_AD_OFF + SKF_AD_PROTOCOL
LOAD_WORD, AND, IF_EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
SOURCE, DESTINATION = 12, 16  # in the IP header


def program(networks):
    """Classic BPF (bpf(4)): code, how far to jump when equal and when not, value."""
    tests = [(offset, int(n.netmask), int(n.network_address))
             for n in networks for offset in (SOURCE, DESTINATION)]
    end = 2 + 3 * len(tests)  # RETURN 0; RETURN 1 is behind it
    lines = [(LOAD_WORD, 0, 0, PROTOCOL), (IF_EQUAL, 0, end - 2, 0x0800)]
    for offset, mask, value in tests:
        lines += [(LOAD_WORD, 0, 0, offset), (AND, 0, 0, mask)]
        lines.append((IF_EQUAL, end + 1 - len(lines) - 1, 0, value))
    return lines + [(RETURN, 0, 0, 0), (RETURN, 0, 0, 64)]


def attach(watch, lines):
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    watch.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                     struct.pack("HL", len(lines), ctypes.addressof(code)))


def main():
    networks = [ipaddress.ip_network(text, strict=False) for text in sys.argv[2:]]
    # SOCK_DGRAM: packets from the IP header on; ETH_P_ALL: also those that are sent.
    watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    attach(watch, program(networks))
    watch.bind((sys.argv[1], ETH_P_ALL))
    print("ready", flush=True)
    count = 0
    while True:
        ready, _, _ = select.select([watch, sys.stdin], [], [])
        if watch in ready:
            watch.recv(64)
            count += 1
        elif not sys.stdin.readline():
            return
        else:
            print(count, flush=True)
            count = 0


if __name__ == "__main__":
    main()
