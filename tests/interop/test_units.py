#!/usr/bin/env python3
"""What `make install` puts in place: units, users, profiles. They are whole, keep what they
promise (systemd-analyze security), and the daemons work under them where systemd has booted."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import booted  # noqa: E402
from tests.support.bridge import Site  # noqa: E402
from tests.support.ipsecd import ROOT  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.service_manager import ServiceManager  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

EXPOSURE_MAX = 20  # tenths
UNITS = ("ipsecd", "routed-bridge")

SCRIPT = """
# ipsecd that took over reads its files again by itself.
state() {
	for i in $(seq 300); do
		case $(systemctl is-active "$1") in activating | reloading) sleep 0.1 ;; *) break ;; esac
	done
	systemctl is-active "$1" || true
}
for unit in ipsecd routed-bridge; do
	mkdir -p /etc/systemd/system/$unit.service.d
	printf '[Service]\\nStandardOutput=append:/%s.log\\nStandardError=append:/%s.log\\n' $unit $unit \\
		>/etc/systemd/system/$unit.service.d/log.conf
done
systemd-sysusers
systemd-tmpfiles --create /usr/lib/tmpfiles.d/detour.conf
cat >/etc/ipsec.conf <<end
config setup
  keep-on-stop=10s
conn a-b
  left=127.0.0.1
  right=127.0.0.2
  leftsubnet=10.1.0.0/16
  rightsubnet=10.2.0.0/16
  leftupdown=/etc/ipsec.d/updown
  authby=secret
  auto=add
end
echo '127.0.0.1 127.0.0.2 : PSK "not so secret"' >/etc/ipsec.secrets
chmod 600 /etc/ipsec.secrets
mkdir -p /etc/ipsec.d
printf '#!/bin/sh\\n' >/etc/ipsec.d/updown
chmod 755 /etc/ipsec.d/updown
echo >/etc/routed-bridge.conf
ip link set lo up
systemctl daemon-reload
systemctl start ipsecd routed-bridge
echo "started: $(state ipsecd) $(state routed-bridge)"
for unit in ipsecd routed-bridge; do
	pid=$(systemctl show -p MainPID --value $unit)
	echo "$unit: user $(ps -o user= -p $pid | tr -d ' ') nnp $(sed -n 's/^NoNewPrivs:\\t//p' /proc/$pid/status)" \\
		"seccomp $(sed -n 's/^Seccomp:\\t//p' /proc/$pid/status)" \\
		"root fs $(nsenter -t $pid -m sh -c 'touch /usr/x 2>/dev/null && echo written || echo closed')" \\
		"kernel settings $(nsenter -t $pid -m sh -c 'echo 1 2>/dev/null >/proc/sys/kernel/sysrq && echo written || echo closed')"
done
ip -br link show a-b
cat /proc/sys/net/ipv4/conf/a-b/disable_policy
ipsecctl status
systemctl reload ipsecd routed-bridge
echo "reloaded: $(state ipsecd) $(state routed-bridge)"
for i in $(seq 300); do
	line=$(systemctl show -p StatusText --value routed-bridge)
	case $line in *"of 1 tunnels"*) break ;; esac
	sleep 0.1
done
echo "status: $line"
routed-bridge --status | head -n 2
systemctl restart ipsecd
echo "restarted: $(state ipsecd)"
for role in plane ike helper; do
	pid=$(pgrep -f "ipsecd: $role")
	echo "$role: user $(ps -o user= -p $pid | tr -d ' ') caps $(sed -n 's/^CapEff:\t//p' /proc/$pid/status)" \
		"ambient $(sed -n 's/^CapAmb:\t0*//p' /proc/$pid/status)" \
		"nnp $(sed -n 's/^NoNewPrivs:\t//p' /proc/$pid/status) seccomp $(sed -n 's/^Seccomp:\t//p' /proc/$pid/status)"
done
ike=$(pgrep -f "ipsecd: ike")
echo "ike has open: $(ls -l /proc/$ike/fd | sed -n 's/.* -> //p' | sed 's/[0-9:\[\]*]*$//' | sort -u | tr '\n' ' ')"
ipsecctl status
systemctl stop ipsecd routed-bridge
systemctl list-timers --no-pager --all | grep -o ipsecd-clean-up.timer # gone when it has done its work
for i in $(seq 300); do
	case $(cat /proc/net/dev) in *a-b:*) sleep 0.1 ;; *) echo "device gone"; break ;; esac
done
for i in $(seq 300); do
	systemctl is-active ipsecd-clean-up.timer ipsecd-clean-up.service | grep -q active$ && sleep 0.1
done
systemctl is-failed ipsecd-clean-up.service
echo "stopped: $(state ipsecd) $(state routed-bridge)"
systemctl show -p Result --value ipsecd routed-bridge
cat /ipsecd.log /routed-bridge.log
"""


def install(folder, what="install"):
    done = subprocess.run(["make", "--no-print-directory", "-C", ROOT, what, f"DESTDIR={folder}", "PREFIX=/usr"],
                          text=True, capture_output=True, check=False, timeout=300)
    check_equal(done.returncode, 0, f"make {what}: {done.stderr}")


def files_in(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder)
                  for at, _folders, names in os.walk(folder) for name in names)


def installed(folder):
    files = files_in(folder)
    for name in ("usr/sbin/ipsecd", "usr/sbin/ipsecctl", "usr/sbin/routed-bridge", "usr/sbin/topology",
                 "usr/lib/systemd/system/ipsecd.service", "usr/lib/systemd/system/routed-bridge.service",
                 "usr/lib/sysusers.d/detour.conf", "usr/lib/tmpfiles.d/detour.conf",
                 "etc/apparmor.d/ipsecd", "etc/apparmor.d/routed-bridge"):
        check(name in files, f"{name} is not installed")
    for name in files:
        if not name.startswith("usr/sbin"):
            with open(f"{folder}/{name}", encoding="utf-8") as file:
                check("@SBINDIR@" not in file.read(), f"{name} has a path that is not filled in")


def uninstalled(_folder):
    with tempfile.TemporaryDirectory(prefix="units-") as other:
        install(other)
        install(other, "uninstall")
        check_equal(files_in(other), [], "left behind")


def exposure(folder):
    for unit in UNITS:
        path = f"{folder}/usr/lib/systemd/system/{unit}.service"
        done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager",
                               f"--threshold={EXPOSURE_MAX}", path],
                              text=True, capture_output=True, check=False, timeout=60)
        last = (done.stdout.strip().splitlines() or [""])[-1]
        print(f"      {last}")
        check("Overall exposure level" in last, f"{unit}: {done.stdout}{done.stderr}")
        check_equal(done.returncode, 0, f"{unit}: more than {EXPOSURE_MAX / 10}")


def profiles(folder):
    for name in ("ipsecd", "routed-bridge"):
        done = subprocess.run(["apparmor_parser", "-Q", "-K", "-S", f"{folder}/etc/apparmor.d/{name}"],
                              capture_output=True, check=False, timeout=60)
        check_equal(done.returncode, 0, f"{name}: {done.stderr.decode()}")
        check(done.stdout, f"{name}: nothing compiled")


def booted_case(folder):
    """One boot for all of it: a line each."""
    said = booted.run(folder, SCRIPT)
    for line in ("started: active active",
                 "ipsecd: user ipsecd nnp 1 seccomp 2 root fs closed kernel settings closed",
                 "routed-bridge: user routed-bridge nnp 1 seccomp 2 root fs closed kernel settings closed",
                 "reloaded: active active", "status: 0 of 1 tunnels up, 0 of 0 routes in zebra",
                 "restarted: active",
                 "plane: user ipsecd caps 0000000000003000 ambient  nnp 1 seccomp 2",
                 "ike: user ipsecd caps 0000000000000000 ambient  nnp 1 seccomp 2",
                 "helper: user ipsecd caps 0000000000000004 ambient  nnp 1 seccomp 2",
                 "stopped: inactive inactive", "success\n\nsuccess",
                 "ike has open: /dev/null /memfd:engine (deleted) /proc/",
                 "ipsecd-clean-up.timer\ndevice gone", "device gone\ninactive",
                 "/run/charon.vici  connected for", "1 secret from files"):
        check(line in said, f"no line '{line}' in:\n{said}")
    held = re.sub(r"/proc/\d+/stat", "/proc/N/stat", said.split("ike has open: ")[1].split("\n")[0])
    check_equal(set(held.split()), {"/dev/null", "/memfd:engine", "(deleted)", "/proc/N/stat", "pipe",
                                    "anon_inode:[eventfd", "anon_inode:[eventpoll", "socket"}, "ike has open")
    check("a-b              DORMANT" in said, f"the device:\n{said}")
    for word in ("denied", "not permitted", "Read-only", "sandbox: refused", "going on without", "can't be run"):
        check(word not in said.replace("no empty root: chroot to /run/ipsecd/empty: Operation not permitted", ""), f"'{word}' in:\n{said}")


def bridge_tells(_folder):
    """READY, a status, signs of life, reloads and the end; and none of it without a manager."""
    with tempfile.TemporaryDirectory(prefix="units-") as folder, ServiceManager(folder) as manager:
        os.environ.update({"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "900000"})
        try:
            with Site("units") as site:
                site.start()
                until("READY=1", lambda: manager.heard("READY=1"))
                until("a status", lambda: manager.heard("STATUS=0 of 1 tunnels up, 0 of 0 routes in zebra"), 20)
                until("three signs of life", lambda: manager.read().count("WATCHDOG=1") >= 3)
                site.reload(site.config)
                until("the reload", lambda: manager.heard("RELOADING=1") and
                      manager.read().count("READY=1") == 2)
                site.reload("nonsense")
                until("a reload of errors ends, too", lambda: manager.read().count("READY=1") == 3)
                site.vici.child_up("a-b", 1)
                until("another status", lambda: any(
                    line.startswith("STATUS=1 of 1 tunnels up") for line in manager.read()), 20)
                site.stop_bridge()
                until("the end", lambda: manager.heard("STOPPING=1"))
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]


def main():
    suite = Suite("units")
    with tempfile.TemporaryDirectory(prefix="units-") as folder:
        os.chmod(folder, 0o755)  # it becomes the root
        install(folder)
        for name, case in (("installed", installed), ("uninstalled", uninstalled), ("exposure", exposure), ("AppArmor profiles", profiles),
                           ("booted", booted_case), ("the bridge tells", bridge_tells)):
            suite.case(name, case, folder)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
