"""What systemd does for a service: it reads notifications, keeps descriptors, and gives them to
the next process (sd_notify(3), sd_listen_fds(3))."""
import array
import os
import select
import socket
import subprocess
import time

FIRST = 3  # SD_LISTEN_FDS_START


class ServiceManager:
    """`with ServiceManager(folder) as manager:`; start() is `systemctl start`."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.bind(self.path)
        self.told = []      # lines, in the order in which they came
        self.store = []     # (name, descriptor)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.clear()
        self.socket.close()

    def clear(self):
        """As after `systemctl stop`, without a job that starts it again."""
        for _name, descriptor in self.store:
            os.close(descriptor)
        self.store = []

    def _one(self):
        data, control, _flags, _from = self.socket.recvmsg(8192, socket.CMSG_SPACE(4 * 64))
        descriptors = array.array("i")
        for level, kind, body in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(body[:len(body) - len(body) % 4])
        lines = data.decode().splitlines()
        name = next((line[7:] for line in lines if line.startswith("FDNAME=")), "stored")
        if "FDSTOREREMOVE=1" in lines:
            for entry in [entry for entry in self.store if entry[0] == name]:
                os.close(entry[1])
                self.store.remove(entry)
        elif "FDSTORE=1" in lines:
            self.store += [(name, descriptor) for descriptor in descriptors]
            descriptors = []
        else:
            self.told += lines
        for descriptor in descriptors:  # BARRIER=1: closing it is the answer
            os.close(descriptor)

    def read(self):
        """All that has come; returns the lines so far."""
        while select.select([self.socket], [], [], 0)[0]:
            self._one()
        return self.told

    def heard(self, line):
        return line in self.read()

    def names(self):
        self.read()
        return sorted(name for name, _descriptor in self.store)

    def start(self, argv, log, environment=None, watchdog_us=None):
        """A new process, with everything that is in the store."""
        kept = [descriptor for _name, descriptor in self.store]
        env = {**os.environ, **(environment or {}), "NOTIFY_SOCKET": self.path,
               "LISTEN_FDS": str(len(kept)),
               "LISTEN_FDNAMES": ":".join(name for name, _descriptor in self.store)}
        if watchdog_us:
            env["WATCHDOG_USEC"] = str(watchdog_us)

        def arrange():
            high = [os.dup(descriptor) for descriptor in kept]
            lowest = 200
            moved = []
            for descriptor in high:
                os.dup2(descriptor, lowest + len(moved))
                moved.append(lowest + len(moved))
            for index, descriptor in enumerate(moved):
                os.dup2(descriptor, FIRST + index, inheritable=True)

        with open(log, "ab") as file:
            return subprocess.Popen(
                ["sh", "-c", 'LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$@"', "sh", *argv], env=env,
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, preexec_fn=arrange,
                pass_fds=[FIRST + index for index in range(len(kept))])

    def wait(self, process, timeout=10.0):
        """Reads on until it ends: it waits for that. Its status."""
        deadline = time.monotonic() + timeout
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([self.socket], [], [], 0.05)[0]:
                self._one()
        self.read()
        return process.poll()
