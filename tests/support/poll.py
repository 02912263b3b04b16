"""Waiting for something to become true, with a deadline instead of sleeps."""
import time


class Timeout(AssertionError):
    """What was waited for did not come."""


def until(what, condition, timeout=10.0, interval=0.02):
    """Calls condition() until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"not within {timeout:g} s: {what}")
        time.sleep(interval)
