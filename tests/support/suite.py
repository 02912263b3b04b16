"""A list of test cases with one line each, and a closing line that adds them up."""
import signal
import sys
import time
import traceback


_stopped = []  # the signal that ends this program


def _stop(signum, _frame):
    """SIGTERM and SIGINT leave through the `with` blocks, which clean up undisturbed. What
    fails in there takes the place of the SystemExit: _leave_if_stopped raises it again."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    _stopped.append(signum)
    raise SystemExit(128 + signum)


def _leave_if_stopped():
    if _stopped:
        raise SystemExit(128 + _stopped[0])


class Suite:
    """Runs cases in order; a failed one prints why and where the logs said what."""

    def __init__(self, title):
        self.title = title
        self.passed = 0
        self.failed = 0
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGINT, _stop)
        if len(sys.argv) > 1:
            self.only = sys.argv[1]
        else:
            self.only = ""

    def case(self, name, function, *args, logs=()):
        """Calls function(*args). `logs`: peers whose last lines are shown on failure."""
        if self.only not in name:
            return
        start = time.monotonic()
        marks = [(peer, peer.log_mark()) for peer in logs]
        try:
            function(*args)
        except Exception as error:  # pylint: disable=broad-except
            _leave_if_stopped()
            self.failed += 1
            print(f"FAIL  {self.title}: {name}: {error}", flush=True)
            where = traceback.extract_tb(error.__traceback__)[-1 if len(marks) == 0 else 1]
            print(f"      {where.filename}:{where.lineno}: {where.line}")
            for peer, mark in marks:
                lines = peer.log(mark).splitlines()[-30:]
                print("\n".join(f"      {peer.kind}| {line}" for line in lines), flush=True)
        else:
            self.passed += 1
            took = time.monotonic() - start
            print(f"ok    {self.title}: {name} ({took:.2f} s)", flush=True)

    def finish(self):
        """Prints the closing line; the exit status of the test program."""
        print(f"{self.title}: {self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")
