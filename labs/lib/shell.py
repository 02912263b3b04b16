"""Commands, processes and waiting. Every command of the lab is printed before it runs."""
import os
import select
import signal
import subprocess
import sys
import time

STOP_SECONDS = 8  # ipsecd drains its tunnels before it ends
NICE = -15


class LabError(Exception):
    """Something the lab needs did not happen; the text says what."""


def say(text=""):
    """Whoever reads may go (a pager, tee at Ctrl-C): the lab must be cleaned up all the same."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(words):
    say("  $ " + " ".join(words))


def run(words, quiet=False, check=True, stdin=None):
    """Runs to the end and gives what it printed. A failure is an error with its last words."""
    if not quiet:
        show(words)
    done = subprocess.run(words, input=stdin, capture_output=True, text=True)
    if check and done.returncode != 0:
        detail = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise LabError(f"'{' '.join(words)}' ended with {done.returncode}: "
                       f"{detail[-1] if detail else 'no message'}")
    return done.stdout


def inside(namespace, words):
    return ["ip", "netns", "exec", namespace] + words


def before_others():
    """What is started from here on runs before other work of a busy machine, where that is
    allowed."""
    try:
        os.nice(NICE - os.nice(0))
    except OSError:
        pass


def session_before_others(process):
    """The scheduler weighs sessions first, then what is in them."""
    try:
        with open(f"/proc/{process.pid}/autogroup", "w") as group:
            group.write(str(NICE))
    except OSError:
        pass  # a kernel without, or not allowed, or it has ended


class Daemon:
    """A program that runs until it is stopped; its output goes to a log file. It has a
    session of its own, so that Ctrl-C reaches only the runner, which then stops all in order."""

    def __init__(self, name, words, log):
        self.name, self.words, self.log = name, words, log
        self.process, self.told = None, False

    def start(self):
        show(self.words + [">>", self.log])
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        session_before_others(self.process)

    def check(self):
        if self.process and self.process.poll() is not None:
            raise LabError(f"{self.name} ended with {self.process.returncode}: {self.last_words()}")

    def last_words(self):
        with open(self.log, "r", errors="replace") as log:
            lines = [line.strip() for line in log if line.strip()]
        return lines[-1] if lines else "(it logged nothing)"

    def send(self, number):
        say(f"  $ kill -{signal.Signals(number).name[3:]} {self.process.pid}    # {self.name}")
        self.process.send_signal(number)

    def logged(self, text):
        """How many lines of its log have it."""
        with open(self.log, "r", errors="replace") as log:
            return sum(text in line for line in log)

    def reload(self):
        self.send(signal.SIGHUP)

    def kill(self):
        self.send(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def terminate(self):
        if self.process and self.process.poll() is None:
            self.send(signal.SIGTERM)
            self.told = True

    def stop(self):
        if not self.process:
            return
        if not self.told:
            self.terminate()
        self.wait()

    def wait(self):
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.process.wait()
        self.process, self.told = None, False


def wait_until(what, condition, seconds, daemons=(), every=0.05):
    """Polls until `condition` gives something true, which is returned. A daemon that ends
    meanwhile is an error at once."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        for daemon in daemons:
            daemon.check()
        if time.monotonic() >= deadline:
            raise LabError(f"waited {seconds} s for: {what}")
        select.select([], [], [], every)


def require_root():
    if os.geteuid() != 0:
        sys.exit("labs/run: network namespaces need root: run it with sudo")
