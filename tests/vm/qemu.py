"""The machine of tests/vm/run --kind qemu: Debian's cloud kernel on an emulated microvm. Slower than user-mode Linux, lacks nothing."""
import os
import re
import shutil
import subprocess
import sys
import time

MODULES = ("virtio_mmio", "virtiofs", "overlay", "veth", "bridge", "nf_tables", "nf_conntrack_netlink")
INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mount -t devtmpfs dev /dev
exec > /dev/console 2>&1
for module in /modules/*.ko; do $B insmod $module; done
$B mount -t proc proc /proc
$B mount -t virtiofs root /host
$B mount -t tmpfs tmpfs /over
$B mkdir /over/upper /over/work
$B mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work overlay /root
cd /root
$B mkdir -p mnt/share
$B mount -t virtiofs share mnt/share
$B mount -t proc proc proc
$B mount -t sysfs sysfs sys
$B mount -t devtmpfs dev dev
$B mkdir -p dev/pts
$B mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
for at in tmp dev/shm run var/lib/estiba var/log/pods; do $B mkdir -p $at; $B mount -t tmpfs tmpfs $at; done
$B mount -t cgroup2 cgroup2 sys/fs/cgroup
for name in $($B cat sys/fs/cgroup/cgroup.controllers); do echo +$name > sys/fs/cgroup/cgroup.subtree_control; done
exec $B switch_root /root /mnt/share/last
"""
LAST = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
ip link set lo up
/mnt/share/command > /mnt/share/output 2>&1 < /dev/null
echo $? > /mnt/share/code
mv /mnt/share/code /mnt/share/exit
sleep 60
"""


def fetch(folder):
    """Unpacks the packages into `folder` and makes the kernel's ELF file and the initial file system there."""
    words = subprocess.run(["apt-get", "install", "-s", "--reinstall", "--no-install-recommends", "qemu-system-x86", "lz4", "kmod", "libkmod2"], capture_output=True, text=True).stdout
    names = re.findall(r"^Inst (\S+)", words, re.M)
    names += re.findall(r"Depends: (linux-image-\S+)", subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True).stdout)
    part = folder.with_suffix(".partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    script = f"apt-get download -qq {' '.join(names)} && for deb in *.deb; do dpkg-deb -x $deb root || exit 1; done && rm *.deb"
    done = subprocess.run(["sh", "-c", script], cwd=part, capture_output=True, text=True)
    if done.returncode:
        print(f"vm: the packages of QEMU cannot be had: {done.stderr.strip()}", file=sys.stderr)
        return False
    root = part / "root"
    image = next((root / "boot").glob("vmlinuz-*"))
    version = image.name.removeprefix("vmlinuz-")
    # The emulated machine would need seconds to unpack the kernel itself; the packed part begins at LZ4's magic number.
    data = image.read_bytes()
    packed = data[data.index(b"\x02\x21\x4c\x18"):]
    (part / "vmlinux").write_bytes(subprocess.run([root / "usr/bin/lz4", "-dc"], input=packed, capture_output=True, env=environment(root)).stdout)
    subprocess.run(["depmod", "-b", root, version], executable=root / "bin/kmod", check=True, env=environment(root))
    modules = root / "lib/modules" / version
    needs = {line.partition(":")[0]: line.partition(":")[2].split() for line in (modules / "modules.dep").read_text().splitlines()}
    order = []
    for path in [next(path for path in needs if path.endswith(f"/{name}.ko")) for name in MODULES] + [path for path in needs if "/nft_" in path]:
        order += [name for name in [*reversed(needs[path]), path] if name not in order]
    tree = part / "initrd"
    for name in ("bin", "proc", "sys", "dev", "host", "over", "root", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for number, path in enumerate(order):
        shutil.copy(modules / path, tree / f"modules/{number:03}.ko")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    subprocess.run("find . | busybox cpio -o -H newc > ../initrd.img", shell=True, check=True, cwd=tree, stderr=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return True


def environment(root):
    return {**os.environ, "LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"}


def boot(folder, share, timeout, memory):
    """Runs share/command; returns when share/exit is there, the machine ended, or after `timeout` seconds. Leaves no process."""
    root = folder / "root"
    (share / "last").write_text(LAST)
    (share / "last").chmod(0o755)
    bound = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    # With the timestamp counter's rate given, the kernel does not calibrate it; under emulation that hangs at times.
    khz = int(float(re.search(r"cpu MHz\s*: ([\d.]+)", open("/proc/cpuinfo").read()).group(1)) * 1000)
    command = [root / "usr/bin/qemu-system-x86_64", "-L", root / "usr/share/qemu", "-L", root / "usr/share/seabios", "-M", "microvm", "-accel", "tcg", "-cpu", "max",
               "-m", memory, "-object", f"memory-backend-memfd,id=mem,size={memory},share=on", "-numa", "node,memdev=mem", "-nodefaults", "-no-reboot",
               "-display", "none", "-serial", "stdio", "-global", "virtio-mmio.force-legacy=false", "-kernel", folder / "vmlinux", "-initrd", folder / "initrd.img",
               "-append", f"console=ttyS0 quiet panic=-1 tsc_early_khz={khz} tsc=reliable no_timer_check cryptomgr.notests"]
    started = []
    with open(share / "console", "wb") as console:
        options = {"stdin": subprocess.DEVNULL, "stdout": console, "stderr": console, "env": environment(root)}
        try:
            for tag, source in (("root", "/"), ("share", share)):
                socket = share / f"{tag}.socket"
                started.append(subprocess.Popen([*bound, root / "usr/lib/qemu/virtiofsd", f"--socket-path={socket}", "-o", f"source={source}", "-o", "cache=auto",
                                                 "-o", "sandbox=chroot", "-f"], **options))
                end = time.monotonic() + 5
                while not socket.exists() and time.monotonic() < end:
                    time.sleep(0.01)
                command += ["-chardev", f"socket,id={tag},path={socket}", "-device", f"vhost-user-fs-device,chardev={tag},tag={tag}"]
            machine = subprocess.Popen([*bound, *command], **options)
            started.append(machine)
            end = time.monotonic() + timeout
            while machine.poll() is None and not (share / "exit").exists() and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()
