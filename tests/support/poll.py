"""Waiting for something to become true, with a deadline instead of sleeps."""
import os
import time

SLOWNESS = float(os.environ.get("TEST_SLOWNESS", "1"))  # of an emulated processor


class Timeout(AssertionError):
    """What was waited for did not come."""


def until(what, condition, timeout=10.0, interval=0.02):
    """Calls condition() until it returns something true, and returns that."""
    timeout *= SLOWNESS
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"not within {timeout:g} s: {what}")
        time.sleep(interval)
