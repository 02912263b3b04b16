#!/usr/bin/env python3
"""tests/kernel/test_script_device.py with an xfrm interface, which User Mode Linux lacks."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
os.environ["DEVICE_KIND"] = "xfrm"
from tests.kernel.test_script_device import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
