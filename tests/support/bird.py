"""BIRD 2 in a network namespace, its socket and configuration in a folder of its own."""
import os
import signal

from .poll import until
from .process import Daemon


class Bird:
    def __init__(self, namespace, folder, config):
        self.namespace = namespace
        self.socket = f"{folder}/bird.ctl"
        path = f"{folder}/bird.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        self.daemon = Daemon("bird", namespace.argv(
            "bird", "-f", "-c", path, "-s", self.socket, "-P", f"{folder}/bird.pid"),
            f"{folder}/bird.log")
        until("bird answers", lambda: os.path.exists(self.socket) and "up" in self.ask("show status"))

    def ask(self, *words):
        return self.namespace.run("birdc", "-s", self.socket, *words, check=False)

    def established(self, *sessions):
        return all("Established" in self.ask("show protocols", name) for name in sessions)

    def path(self, session, prefix):
        """Whether the session's peer has told of a path to that prefix."""
        return prefix in self.ask("show route", prefix, "protocol", session)

    def stop(self):
        self.daemon.kill(signal.SIGTERM)
        self.daemon.stop()
