"""The steps of a program as its files show them: which paths come into being below some directories, in order, seen while it happens."""
import ctypes
import os
import pathlib
import re
import select
import struct
import time

CREATE, MOVED_TO, CLOSE_WRITE, DELETE, MOVED_FROM, IS_DIR = 0x100, 0x80, 0x8, 0x200, 0x40, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class Steps:
    """Watches `roots` with all below; next() gives what happens as "made path" or "written path", the pod's and the container's ids and all
    that counts up replaced by words, so that two runs of the same steps look the same."""

    def __init__(self, roots):
        self.fd = LIBC.inotify_init1(os.O_NONBLOCK)
        self.paths, self.pending, self.seen = {}, [], set()
        for root in roots:
            self.add(pathlib.Path(root), quiet=True)

    def add(self, path, quiet=False):
        watch = LIBC.inotify_add_watch(self.fd, os.fsencode(path), CREATE | MOVED_TO | CLOSE_WRITE)
        if watch < 0:
            return
        self.paths[watch] = path
        # What came before the watch did.
        with os.scandir(path) as entries:
            for entry in entries:
                if not quiet:
                    self.note("made", path / entry.name)
                if entry.is_dir(follow_symlinks=False) and "rootfs" not in entry.name and "upper" not in entry.name:
                    self.add(path / entry.name, quiet)

    def note(self, what, path):
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UID", str(path))
        text = re.sub(r"[0-9a-f]{64}", "ID", text)
        text = re.sub(r"kube-api-access-\w+", "kube-api-access", text)
        text = re.sub(r"(?<=[/._-])[0-9a-f]*\d[0-9a-f]*(?=[/._]|$)", "N", text.split("/root/", 1)[-1])
        self.pending.append(f"{what} {text}")

    def next(self, seconds):
        """The next step; None when nothing happens for so long."""
        end = time.monotonic() + seconds
        while not self.pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return None
            try:
                data = os.read(self.fd, 65536)
            except (BlockingIOError, OSError):
                continue
            at = 0
            while at < len(data):
                watch, mask, _, size = struct.unpack_from("iIII", data, at)
                name = data[at + 16:at + 16 + size].split(b"\0")[0].decode()
                at += 16 + size
                folder = self.paths.get(watch)
                if folder is None or not name:
                    continue
                self.note("written" if mask & CLOSE_WRITE else "made", folder / name)
                if mask & IS_DIR and "rootfs" not in name and "upper" not in name:
                    self.add(folder / name)
        return self.pending.pop(0)

    def close(self):
        os.close(self.fd)
