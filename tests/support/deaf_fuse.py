"""A file system in which reads are never answered: `deaf_fuse.py DIRECTORY`. It has one file, `file`; "reading" is printed when somebody has begun to read it. From
then on he cannot be killed, until this program ends (fs/fuse/dev.c: who waits for an answer that is under way waits for it)."""
import ctypes
import errno
import os
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT, OPENDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 17, 18, 25, 26, 27, 29, 36, 42
ROOT, FILE = 1, 2
DIRECT_IO = 1


def attributes(node):
    mode, size = (0o40755, 0) if node == ROOT else (0o100644, 4096)
    return struct.pack("<6Q10I", node, size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def main(directory):
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"deaf", directory.encode(), b"fuse", 0, f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()):
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    print("mounted", flush=True)
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            continue
        _, code, unique, node = struct.unpack_from("<IIQQ", request)

        def answer(body=b"", error=0):
            os.write(device, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)
        if code == INIT:
            answer(struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 1, 1, 4096, 1, 0, 0, *[0] * 8))
        elif code == GETATTR:
            answer(struct.pack("<QII", 0, 0, 0) + attributes(node))
        elif code == LOOKUP and request[40:].rstrip(b"\0") == b"file":
            answer(struct.pack("<4Q2I", FILE, 0, 0, 0, 0, 0) + attributes(FILE))
        elif code == LOOKUP:
            answer(error=errno.ENOENT)
        elif code in (OPEN, OPENDIR):
            answer(struct.pack("<QII", 1, DIRECT_IO if code == OPEN else 0, 0))
        elif code == STATFS:
            answer(bytes(80))
        elif code == READ:
            print("reading", flush=True)
        elif code in (RELEASE, RELEASEDIR, FLUSH):
            answer()
        elif code not in (FORGET, BATCH_FORGET, INTERRUPT):
            answer(error=errno.ENOSYS)


main(sys.argv[1])
