"""Debian's stock kernel for tests/kernel/qemu: the package that linux-image-amd64 stands for,
downloaded and unpacked into build/kernel, never installed, or another release's packages; and
an initramfs that mounts the host's files as the root by 9p."""
import fcntl
import glob
import gzip
import lzma
import os
import re
import shutil
import subprocess
import tarfile

WANTED = re.compile(r"^\./boot/vmlinuz|/lib/modules/[^/]+/(vmlinuz$|modules\.|kernel/(net|crypto|arch|lib"
                    r"|fs/(9p|netfs|fscache|overlayfs)|drivers/(virtio|net/[^/]+\.ko))(/|$|\.))"
                    r"|/lib/modules/[^/]+/kernel/drivers/net/[^/]+\.ko")
ROOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p"]

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev
for file in /modules/*; do /bin/busybox insmod "$file" || echo "initramfs: $file?"; done
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose root /root
for word in $(/bin/busybox cat /proc/cmdline); do
	case $word in job=*) job=${word#job=} ;; esac
done
/bin/busybox umount /proc
exec /bin/busybox switch_root /root "$job/init"
"""


class StockError(Exception):
    pass


def _output(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise StockError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _package():
    """The package that linux-image-amd64 depends on."""
    found = re.search(r"^\s*Depends: (linux-image-\S+)",
                      _output("apt-cache", "depends", "linux-image-amd64"), re.M)
    if not found:
        raise StockError("apt-cache knows no linux-image-amd64")
    return found[1]


def _with_new_lists(function, *args):
    """Package lists may be old, or not there at all, as in a fresh container."""
    try:
        return function(*args)
    except StockError:
        _output("apt-get", "update", "-q")
        return function(*args)


def _unpack(file, folder):
    """What a test kernel needs of the package."""
    unpack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", file], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=unpack.stdout, mode="r|") as package_files:
        for member in package_files:
            if WANTED.search(member.name) and member.isfile():
                package_files.extract(member, folder)
    unpack.stdout.close()
    unpack.wait()


def _download(folder):
    package = _package()
    done = subprocess.run(["apt-get", "download", "-q", package], cwd=folder,
                          capture_output=True, text=True)
    files = glob.glob(f"{folder}/{package}_*.deb")
    if not files:
        raise StockError(f"apt-get download {package}: {done.stdout}{done.stderr}")
    _unpack(files[0], folder)
    os.unlink(files[0])


class Stock:
    """The unpacked kernel: `image`, `modules` (the folder above the release's), `initrd`."""

    def __init__(self, folder):
        """Since 6.19 the image is beside the modules."""
        images = glob.glob(f"{folder}/boot/vmlinuz-*") + \
            glob.glob(f"{folder}/usr/lib/modules/*/vmlinuz")
        releases = glob.glob(f"{folder}/**/lib/modules/*/kernel", recursive=True)
        if not images or not releases:
            raise StockError("no kernel (vmlinuz) in the packages" if releases else
                             "no modules in the packages")
        self.image, place = images[0], os.path.dirname(releases[0])
        self.base, self.release = folder, os.path.basename(place)
        self.modules = os.path.dirname(place)
        self.initrd = f"{folder}/initrd"

    def index(self):
        """Where depmod and modprobe look is a matter of the release of kmod."""
        lib = f"{self.base}/lib"
        if not os.path.exists(lib):
            os.symlink("usr/lib", lib)
        _output("depmod", "-b", self.base, self.release)

    def module_files(self, names):
        """The modules with those they need, in the order of loading."""
        files = []
        for name in names:
            shown = _output("modprobe", "-d", self.base, "-S", self.release, "--show-depends",
                            name)
            for line in shown.splitlines():
                if line.startswith("insmod ") and line.split()[1] not in files:
                    files.append(line.split()[1])
        return files


def _plain(path):
    """A module as the kernel takes it without help."""
    if path.endswith(".xz"):
        with lzma.open(path) as source:
            return source.read()
    with open(path, "rb") as source:
        return source.read()


class Cpio:
    """An archive of the kind the kernel unpacks (newc)."""

    def __init__(self):
        self.parts, self.number = [], 0

    def add(self, name, mode, data=b""):
        self.number += 1
        encoded = name.encode() + b"\0"
        head = [self.number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        self._padded(b"070701" + b"".join(b"%08x" % field for field in head) + encoded)
        self._padded(data)

    def _padded(self, data):
        self.parts.append(data + b"\0" * (-len(data) % 4))

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def _initrd(stock):
    archive = Cpio()
    for folder in ("bin", "dev", "proc", "root", "modules"):
        archive.add(folder, 0o040755)
    archive.add("init", 0o100755, INIT.encode())
    archive.add("bin/busybox", 0o100755, _plain(shutil.which("busybox")))
    for i, path in enumerate(stock.module_files(ROOT_MODULES)):
        archive.add(f"modules/{i:02}-{os.path.basename(path).split('.')[0]}", 0o100644,
                    _plain(path))
    with gzip.open(f"{stock.initrd}.new", "wb", compresslevel=1) as out:
        out.write(archive.bytes())
    os.rename(f"{stock.initrd}.new", stock.initrd)


def _source(files):
    """Of a kernel's packages: the name of its folder, and what fills that folder."""
    def unpack(folder):
        for file in files:
            _unpack(file, folder)
    if not files:
        return _with_new_lists(_package), lambda folder: _with_new_lists(_download, folder)
    for file in files:
        if not os.path.isfile(file):
            raise StockError(f"QEMU_KERNEL: no file {file}")
    return os.path.basename(files[0])[:-len(".deb")], unpack


def prepare(cache, files):
    """The kernel of these packages or of Debian's, which is downloaded unless the cache has
    it. Two runs at once wait for each other."""
    os.makedirs(cache, exist_ok=True)
    with open(f"{cache}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        name, fill = _source(files)
        folder = f"{cache}/{name}"
        if not os.path.exists(folder):
            shutil.rmtree(f"{folder}.new", ignore_errors=True)
            os.makedirs(f"{folder}.new")
            fill(f"{folder}.new")
            Stock(f"{folder}.new").index()
            os.rename(f"{folder}.new", folder)
        stock = Stock(folder)
        if not os.path.exists(stock.initrd) or \
                os.path.getmtime(stock.initrd) < os.path.getmtime(__file__):
            _initrd(stock)
    return stock
