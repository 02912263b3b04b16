"""IKE_SA_INIT requests made by hand: half-open SAs, and datagrams no peer would send.

Only as much of IKEv2 as a first message needs (RFC 7296 1.2, 3.1 to 3.9).
"""
import os
import struct

from .netns import udp_socket

HEADER = struct.Struct("!8s8sBBBBII")
SA, KE, NONCE, NOTIFY = 33, 34, 40, 41
IKE_SA_INIT = 34
INITIATOR, RESPONSE = 0x08, 0x20
COOKIE = 16390
CURVE25519 = 31


def payload(next_type, body):
    return struct.pack("!BBH", next_type, 0, 4 + len(body)) + body


def transform(last, kind, number, key_bits=0):
    attribute = struct.pack("!HH", 0x800E, key_bits) if key_bits else b""
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attribute), kind, 0,
                       number) + attribute


def proposal():
    """IKE: AES_GCM_16_128 / PRF_HMAC_SHA2_256 / CURVE_25519."""
    transforms = (transform(False, 1, 20, 128) + transform(False, 2, 5)
                  + transform(True, 4, CURVE25519))
    return struct.pack("!BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms


def request(spi=None):
    """A well-formed first message with a fresh SPI and nonce, and some public value."""
    chain = (payload(KE, proposal())
             + payload(NONCE, struct.pack("!HH", CURVE25519, 0) + b"\x09" + bytes(31))
             + payload(0, os.urandom(32)))
    return HEADER.pack(spi or os.urandom(8), bytes(8), SA, 0x20, IKE_SA_INIT, INITIATOR, 0,
                       HEADER.size + len(chain)) + chain


def is_cookie(datagram):
    """The answer asks for a COOKIE (RFC 7296 2.6) instead of going on."""
    next_payload = datagram[16]
    notify = struct.unpack("!H", datagram[34:36])[0] if len(datagram) > 36 else 0
    return next_payload == NOTIFY and notify == COOKIE


def half_open(namespace, source, target, count):
    """Starts `count` IKE SAs and never goes on. Returns the answers."""
    answers = []
    with udp_socket(namespace, source) as sock:
        for _ in range(count):
            sock.sendto(request(), (target, 500))
            answers.append(sock.recv(4096))
    return answers
