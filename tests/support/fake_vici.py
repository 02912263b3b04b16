"""A vici server for tests: shows the CHILD_SAs it was told of and sends events.

`ours` = True: it has link-updown and names interfaces, as ipsecd does; False: it is like
strongSwan's, which knows neither."""

import functools
import os
import socket
import struct
import threading

CMD_REQUEST, CMD_RESPONSE, CMD_UNKNOWN, REGISTER, UNREGISTER, CONFIRM, EVENT_UNKNOWN, EVENT = \
    range(8)

EVENTS = {"list-sa", "list-conn", "child-updown", "child-rekey", "ike-updown", "ike-rekey"}


def encode(message):
    """dict -> elements: dicts are sections, lists are lists, the rest is text."""
    out = b""
    for key, value in message.items():
        name = bytes([len(key)]) + key.encode()
        if isinstance(value, dict):
            out += b"\x01" + name + encode(value) + b"\x02"
        elif isinstance(value, list):
            items = [str(i).encode() for i in value]
            out += b"\x04" + name
            out += b"".join(b"\x05" + struct.pack(">H", len(i)) + i for i in items) + b"\x06"
        else:
            data = str(value).encode()
            out += b"\x03" + name + struct.pack(">H", len(data)) + data
    return out


def alone(method):
    """As in a daemon that does one thing at a time: no list shows a half of what happens."""
    @functools.wraps(method)
    def locked(self, *args, **options):
        with self.lock:
            return method(self, *args, **options)
    return locked


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.events = set()
        self.lock = threading.Lock()

    def send(self, kind, name=None, body=b""):
        head = bytes([kind])
        if name is not None:
            head += bytes([len(name)]) + name.encode()
        with self.lock:
            try:
                self.sock.sendall(struct.pack(">I", len(head + body)) + head + body)
            except OSError:
                pass


class FakeVici:
    def __init__(self, path, ours=True):
        self.path = path
        self.ours = ours
        self.conns = {}      # name -> interface
        self.children = {}   # id -> dict(conn, ike, remote_ts)
        self.clients = []
        self.listings = 0
        self.server = None
        self.lock = threading.RLock()
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(8)
        threading.Thread(target=self.accept, args=(self.server,), daemon=True).start()

    @alone
    def stop(self):
        """As a crash: no event is sent."""
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.server = None
        os.unlink(self.path)
        for client in self.clients:
            client.sock.shutdown(socket.SHUT_RDWR)
            client.sock.close()
        self.clients = []

    def accept(self, server):
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            client = Client(sock)
            with self.lock:
                if self.server is not server:  # stopped just now
                    sock.close()
                    return
                self.clients.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            stream = client.sock.makefile("rb")
            while True:
                head = stream.read(4)
                if len(head) < 4:
                    return
                packet = stream.read(struct.unpack(">I", head)[0])
                self.answer(client, packet[0], packet[2:2 + packet[1]].decode())
        except (OSError, ValueError):
            return

    @alone
    def answer(self, client, kind, name):
        known = EVENTS | ({"link-updown", "link-suspect"} if self.ours else set())
        if kind == REGISTER and name in known:
            client.events.add(name)
            client.send(CONFIRM)
        elif kind in (REGISTER, UNREGISTER):
            client.send(EVENT_UNKNOWN)
        elif name == "list-conns":
            for conn in list(self.conns):
                client.send(EVENT, "list-conn", encode({conn: self.conn_section(conn)}))
            client.send(CMD_RESPONSE)
        elif name == "list-sas":
            for child in list(self.children):
                client.send(EVENT, "list-sa", encode(self.sa_message(child)))
            self.listings += 1
            client.send(CMD_RESPONSE)
        else:
            client.send(CMD_UNKNOWN)

    @alone
    def event(self, name, message):
        for client in self.clients:
            if name in client.events:
                client.send(EVENT, name, encode(message))

    # -- what is shown --

    def conn_section(self, conn):
        interface = self.conns[conn]
        section = {"local_addrs": ["192.0.2.1"], "version": "IKEv2"}
        return {**section, "interface": interface} if self.ours and interface else section

    def ike_section(self, child_id):
        child = self.children[child_id]
        section = {"uniqueid": child["ike"], "version": 2, "state": "ESTABLISHED",
                   "remote-host": "192.0.2.2", "remote-id": "b.example"}
        if self.ours and self.conns.get(child["conn"]):
            section["interface"] = self.conns[child["conn"]]
        if child["vips"]:
            section["remote-vips"] = child["vips"]
        return section

    def child_section(self, child_id):
        child = self.children[child_id]
        return {"name": "net", "uniqueid": child_id, "reqid": 1, "state": child["state"],
                "mode": "TUNNEL", "local-ts": ["0.0.0.0/0"], "remote-ts": child["remote_ts"]}

    def sa_message(self, child_id, **more):
        section = self.ike_section(child_id)
        section["child-sas"] = {f"net-{child_id}": self.child_section(child_id)}
        return {**more, self.children[child_id]["conn"]: section}

    # -- what happens --

    def conn(self, name, interface=None):
        self.conns[name] = interface

    @alone
    def child_up(self, conn, child_id, remote_ts=("0.0.0.0/0",), ike=1, announce=True, vips=()):
        self.conns.setdefault(conn, None)
        self.children[child_id] = {"conn": conn, "ike": ike, "remote_ts": list(remote_ts),
                                   "vips": list(vips), "state": "INSTALLED"}
        if announce:
            self.event("child-updown", self.sa_message(child_id, up="yes"))

    @alone
    def child_down(self, child_id):
        message = self.sa_message(child_id)
        del self.children[child_id]
        self.event("child-updown", message)

    @alone
    def child_rekey(self, old, new):
        """As strongSwan tells it: one event, no child-updown for either."""
        conn = self.children[old]["conn"]
        self.children[new] = {**self.children[old]}
        self.children[old]["state"] = "REKEYED"
        section = self.ike_section(new)
        section["child-sas"] = {"net": {"old": self.child_section(old),
                                        "new": self.child_section(new)}}
        del self.children[old]
        self.event("child-rekey", {conn: section})

    def link(self, conn, up, reason="test"):
        body = {"up": "yes"} if up else {}
        self.event("link-updown", {**body, conn: {"interface": self.conns[conn] or "",
                                                  "reason": reason}})

    def suspect(self, conn, over, reason="ICMP: host unreachable"):
        self.event("link-suspect", {conn: {"interface": self.conns[conn] or "",
                                           "up": "yes" if over else "no", "reason": reason}})
