"""The images that the course's example starts from, made of Debian packages: what others fetch from a public registry under the same names.

Each is a tar of a root file system below $ESTIBA_CACHE/images, made once (under a minute) and named by its recipe."""
import hashlib
import io
import pathlib
import tarfile

from cluster import debian_root, image_made_once

CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
SMALLER = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "*/libLLVM*", "*/libz3*", "*/bitcode/*", "*/llvmjit*", "*/EXTERNALLY-MANAGED")

PYTHON_ENV = ("PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")

POSTGRES_ENTRYPOINT = """#!/bin/bash
# Makes the cluster on first start (POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB), then runs what it is told.
set -e
export PATH=/usr/lib/postgresql/15/bin:$PATH
data=${PGDATA:-/var/lib/postgresql/data}
user=${POSTGRES_USER:-postgres}
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$data" /run/postgresql
  chown -R postgres:postgres "$data" /run/postgresql
  chmod 700 "$data"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$data/PG_VERSION" ]; then
  initdb --username="$user" --auth-local=trust --auth-host=scram-sha-256 --no-sync -D "$data" \\
    --pwfile=<(printf '%s\\n' "${POSTGRES_PASSWORD:?give POSTGRES_PASSWORD}") >/dev/null
  echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    pg_ctl -D "$data" -o "-c listen_addresses=''" -w start >/dev/null
    createdb --username="$user" "${POSTGRES_DB:-$user}"
    pg_ctl -D "$data" -m fast -w stop >/dev/null
  fi
fi
if [ "$1" = postgres ]; then shift; set -- postgres -D "$data" -c listen_addresses='*' "$@"; fi
exec "$@"
"""


def _append(archive, files, users):
    """Adds files to a root file system: those of `files` (path: text, bytes or a link's target), users, certificates."""
    with tarfile.open(archive) as tar:
        masters = {kind: tar.extractfile(f"./usr/share/base-passwd/{kind}.master").read().decode() for kind in ("passwd", "group")}
    files = {**files, "var/run": "-> /run", "etc/passwd": masters["passwd"] + "".join(f"{name}:x:{number}:{number}::{home}:/bin/bash\n" for name, number, home in users),
             "etc/group": masters["group"] + "".join(f"{name}:x:{number}:\n" for name, number, _ in users)}
    if CERTIFICATES.exists():
        files["etc/ssl/certs/ca-certificates.crt"] = CERTIFICATES.read_text()
    with tarfile.open(archive, "a") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo("./" + path)
            entry.mode = 0o755 if content.startswith("#!") else 0o644
            if content.startswith("-> "):
                entry.type, entry.linkname = tarfile.SYMTYPE, content[3:]
                tar.addfile(entry)
            else:
                entry.size = len(content.encode())
                tar.addfile(entry, io.BytesIO(content.encode()))


def _root(name, packages, files, users=()):
    certificates = CERTIFICATES.read_bytes() if CERTIFICATES.exists() else b""
    key = hashlib.sha256(repr((2, packages, files, users, hashlib.sha256(certificates).hexdigest(), SMALLER)).encode()).hexdigest()[:12]

    def make(target):
        debian_root(target, packages, SMALLER)
        _append(target, files, users)

    return image_made_once(f"{name}-{key}", make)


def python_slim():
    """`python:3.11-slim`: python, pip, bash, ip and curl's certificates; its environment is PYTHON_ENV."""
    return _root("python-slim", ("python3-minimal", "libpython3-stdlib", "python3-pip", "python3-distutils", "bash", "dash", "coreutils", "iproute2", "libc-bin", "base-passwd",
                                 "base-files", "ca-certificates", "login", "findutils", "grep", "sed", "tar", "gzip", "hostname", "procps", "ncurses-bin"),
                 {"usr/bin/python": "-> python3"})


def postgres():
    """`postgres`: its ENTRYPOINT is docker-entrypoint.sh, its CMD postgres."""
    return _root("postgres", ("postgresql-15", "postgresql-client-15", "bash", "dash", "coreutils", "util-linux", "libc-bin", "base-passwd", "base-files", "grep", "sed", "login",
                              "hostname"),
                 {"usr/local/bin/docker-entrypoint.sh": POSTGRES_ENTRYPOINT}, (("postgres", 999, "/var/lib/postgresql"),))


def load(engine):
    """Puts both into an engine's content store under the names of the course."""
    engine.import_image(python_slim(), "python:3.11-slim", env=PYTHON_ENV, cmd='["python3"]')
    engine.import_image(postgres(), "postgres:latest", "--entrypoint", '["docker-entrypoint.sh"]',
                        env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"),
                        cmd='["postgres"]')
