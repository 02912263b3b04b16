"""systemd as it boots: this machine's files in a container of systemd-nspawn, with what is
written to them kept apart in memory, and with what `make install` puts in place. All mounts are
in a namespace of their own and go with its processes."""
import contextlib
import os
import signal
import subprocess
import tempfile

INNER = """
set -e
mount -t tmpfs -o size=512m none {folder}
cd {folder}
mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
mount -t tmpfs none /run
cp -a {files}/. root/
rm -rf root/etc/systemd/system root/lib/systemd/system/*.wants
mkdir -p root/etc/systemd/system
echo 0123456789abcdef0123456789abcdef >root/etc/machine-id
cp {script} root/script
cat >root/etc/systemd/system/script.target <<-end
	[Unit]
	Requires=script.service
end
cat >root/etc/systemd/system/script.service <<-end
	[Unit]
	DefaultDependencies=no
	[Service]
	Type=oneshot
	ExecStart=/bin/bash /script
	StandardOutput=file:/result
	StandardError=file:/result
end
systemd-nspawn -q -D root --private-network --register=no --keep-unit --bind=/dev/net/tun \
	--system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
	--capability=CAP_NET_ADMIN --machine=detour -b systemd.unit=script.target \
	systemd.show_status=no </dev/null >console 2>&1 || cat console >&2
cat root/result
"""


def run(files, script, timeout=240):
    """Boots, runs the bash script as root, and returns what it printed. `files`: a folder that is
    laid over the root."""
    with tempfile.TemporaryDirectory(prefix="booted-") as outer:
        folder = os.path.join(outer, "mounts")
        os.mkdir(folder)
        path = os.path.join(outer, "script")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script + "\nsystemctl poweroff --force --force\n")
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c",
             INNER.format(folder=folder, files=files, script=path)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            return process.communicate(timeout=timeout)[0]
        finally:  # the container's first process ends with that of systemd-nspawn
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
