"""A small vici client, enough to drive strongSwan and ipsecd alike.

Messages are dicts: section -> dict, list -> list of str, key -> str.
"""
import socket
import struct
from contextlib import contextmanager

from .poll import SLOWNESS

CMD_REQUEST, CMD_RESPONSE, CMD_UNKNOWN = 0, 1, 2
EVENT_REGISTER, EVENT_UNREGISTER, EVENT_CONFIRM, EVENT_UNKNOWN, EVENT = 3, 4, 5, 6, 7
SECTION_START, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END = 1, 2, 3, 4, 5, 6


class Failed(RuntimeError):
    """The daemon answered success = no; .answer is what it said."""

    def __init__(self, command, answer):
        super().__init__(f"{command}: {answer.get('errmsg', answer)}")
        self.answer = answer


def _name(text):
    return struct.pack("!B", len(text)) + text.encode()


def _value(value):
    data = value if isinstance(value, bytes) else str(value).encode()
    return struct.pack("!H", len(data)) + data


def encode(message):
    out = b""
    for key, value in message.items():
        if isinstance(value, dict):
            out += bytes([SECTION_START]) + _name(key) + encode(value) + bytes([SECTION_END])
        elif isinstance(value, (list, tuple)):
            out += bytes([LIST_START]) + _name(key)
            out += b"".join(bytes([LIST_ITEM]) + _value(item) for item in value)
            out += bytes([LIST_END])
        else:
            out += bytes([KEY_VALUE]) + _name(key) + _value(value)
    return out


def decode(data):
    pos = 0

    def take(n):
        nonlocal pos
        pos += n
        return data[pos - n:pos]

    def name():
        return take(take(1)[0]).decode()

    def value():
        return take(struct.unpack("!H", take(2))[0]).decode(errors="replace")

    root = {}
    stack, items = [root], None
    while pos < len(data):
        kind = take(1)[0]
        if kind == SECTION_START:
            stack.append(stack[-1].setdefault(name(), {}))
        elif kind == SECTION_END:
            stack.pop()
        elif kind == KEY_VALUE:
            key = name()
            stack[-1][key] = value()
        elif kind == LIST_START:
            items = stack[-1].setdefault(name(), [])
        elif kind == LIST_ITEM:
            items.append(value())
        elif kind != LIST_END:
            raise ValueError(f"vici element of type {kind} at byte {pos}")
    return root


class Vici:
    """One connection to a vici socket."""

    def __init__(self, path, timeout=40.0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout * SLOWNESS)
        self.socket.connect(path)

    def close(self):
        self.socket.close()

    def _send(self, kind, name, body=b""):
        packet = bytes([kind]) + _name(name) + body
        self.socket.sendall(struct.pack("!I", len(packet)) + packet)

    def _receive(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            if not part:
                raise ConnectionError("vici socket closed by the daemon")
            data += part
        return data

    def _packet(self):
        data = self._receive(struct.unpack("!I", self._receive(4))[0])
        if data[0] == EVENT:
            end = 2 + data[1]
            return EVENT, data[2:end].decode(), decode(data[end:])
        return data[0], None, decode(data[1:])

    def request(self, command, message=None):
        """Sends a command, returns the answer; Failed if it says success = no."""
        answer, _ = self.request_with_events(command, message)
        return answer

    def request_with_events(self, command, message=None):
        events = []
        self._send(CMD_REQUEST, command, encode(message or {}))
        while True:
            kind, name, body = self._packet()
            if kind == EVENT:
                events.append((name, body))
            elif kind == CMD_RESPONSE:
                break
            else:
                raise RuntimeError(f"{command}: unknown to the daemon")
        if body.get("success", "yes") != "yes":
            raise Failed(command, body)
        return body, events

    @contextmanager
    def registered(self, event):
        self._send(EVENT_REGISTER, event)
        self._confirm(event)
        yield
        self._send(EVENT_UNREGISTER, event)
        self._confirm(event)

    def _confirm(self, event):
        kind = EVENT
        while kind == EVENT:
            kind, _, _ = self._packet()
        if kind != EVENT_CONFIRM:
            raise RuntimeError(f"event {event}: unknown to the daemon")

    def stream(self, command, event, message=None):
        """For list-* commands: the bodies of the events that came with the answer."""
        with self.registered(event):
            _, events = self.request_with_events(command, message)
        return [body for name, body in events if name == event]

    def next_event(self):
        """The next event that was registered for: (name, body)."""
        while True:
            kind, name, body = self._packet()
            if kind == EVENT:
                return name, body
