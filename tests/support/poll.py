"""Waiting for something to become true, with a deadline instead of sleeps."""
import os
import time

STALL = 0.5  # seconds; no process waits so long for a processor that is only busy
SLOWNESS = float(os.environ.get("TEST_SLOWNESS", "1"))  # of an emulated processor


class Timeout(AssertionError):
    """What was waited for did not come."""


def until(what, condition, timeout=10.0, interval=0.02):
    """Calls condition() until it returns something true, and returns that. The time in which the
    machine stood still does not count, and the last look begins when the time is up: one that
    took long says what was so before."""
    timeout *= SLOWNESS
    deadline = time.monotonic() + timeout
    while True:
        last = time.monotonic() > deadline
        value = condition()
        if value:
            return value
        if last:
            raise Timeout(f"not within {timeout:g} s: {what}")
        before = time.monotonic()
        time.sleep(interval)
        stall = time.monotonic() - before - interval
        if stall > STALL:
            print(f"      the machine stood still for {stall:.1f} s: {what} has so much longer",
                  flush=True)
            deadline += stall
