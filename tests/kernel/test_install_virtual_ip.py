#!/usr/bin/env python3
"""tests/interop/test_install_virtual_ip.py with the kernel's IPsec and vti devices on both ends."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.interop.test_install_virtual_ip import main  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(KernelPair, vti_tunnel))
