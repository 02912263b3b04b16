"""A zebra.vty that says what a test wants it to say."""
import contextlib
import socket
import threading


class FakeVty:
    """Answers everything with the same text."""

    def __init__(self, path, text):
        self.text = text
        self.asked = 0
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(4)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):  # who asks may have gone
                sock.recv(100)
                sock.sendall(self.text.encode() + b"\0\0\0\0")
            self.asked += 1

    def stop(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
