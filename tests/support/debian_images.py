"""The images that the course's example starts from, made of Debian packages: what others fetch from a public registry under the same names.

Each is a tar of a root file system below $ESTIBA_CACHE/images, made once (under a minute) and named by its recipe."""
import hashlib
import pathlib
import shlex

from cluster import CACHE, run

CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
SMALLER = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/zoneinfo/*", "*/libLLVM*", "*/libz3*", "*/bitcode/*", "*/llvmjit*")

# As in the image of that name: `python` and `pip` work and may install into the system.
PYTHON_HOOK = """
ln -sf python3 "$1/usr/bin/python"
rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED
"""
PYTHON_ENV = ("PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1")

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
POSTGRES_HOOK = f"""
printf 'postgres:x:999:999::/var/lib/postgresql:/bin/bash\\n' >> "$1/etc/passwd"
printf 'postgres:x:999:\\n' >> "$1/etc/group"
mkdir -p "$1/usr/local/bin" "$1/var/lib/postgresql/data" "$1/run/postgresql"
cat > "$1/usr/local/bin/docker-entrypoint.sh" <<'ENTRYPOINT'
{POSTGRES_ENTRYPOINT}ENTRYPOINT
chmod 755 "$1/usr/local/bin/docker-entrypoint.sh"
"""
BASE_HOOK = """
cp /usr/share/base-passwd/passwd.master "$1/etc/passwd" 2>/dev/null || true
cp /usr/share/base-passwd/group.master "$1/etc/group" 2>/dev/null || true
mkdir -p "$1/etc/ssl/certs" "$1/tmp" "$1/root"
chmod 1777 "$1/tmp"
"""


def _root(name, packages, hook):
    certificates = CERTIFICATES.read_bytes() if CERTIFICATES.exists() else b""
    key = hashlib.sha256(repr((packages, BASE_HOOK, hook, hashlib.sha256(certificates).hexdigest(), SMALLER)).encode()).hexdigest()[:12]
    target = CACHE / "images" / f"{name}-{key}.tar"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = [str(path) for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("debian*.sources"))]
               if path.exists() and path.stat().st_size]
    partial = target.with_suffix(".partial.tar")
    script = BASE_HOOK + (f'cp {shlex.quote(str(CERTIFICATES))} "$1/etc/ssl/certs/ca-certificates.crt"\n' if certificates else "") + hook
    excludes = [f"--dpkgopt=path-exclude={what}" for what in SMALLER]
    run(["mmdebstrap", "--variant=extract", "--include=" + ",".join(packages), *excludes, f"--customize-hook={script}", "bookworm", partial, *sources], timeout=900)
    partial.rename(target)
    return target


def python_slim():
    """`python:3.11-slim`: python, pip, bash, ip and curl's certificates; its environment is PYTHON_ENV."""
    return _root("python-slim", ("python3-minimal", "libpython3-stdlib", "python3-pip", "python3-distutils", "bash", "dash", "coreutils", "iproute2", "libc-bin", "base-passwd",
                                 "base-files", "ca-certificates", "login", "findutils", "grep", "sed", "tar", "gzip", "hostname", "procps", "ncurses-bin"), PYTHON_HOOK)


def postgres():
    """`postgres`: its ENTRYPOINT is docker-entrypoint.sh, its CMD postgres."""
    return _root("postgres", ("postgresql-15", "postgresql-client-15", "bash", "dash", "coreutils", "util-linux", "libc-bin", "base-passwd", "base-files", "grep", "sed", "login",
                              "hostname"), POSTGRES_HOOK)


def load(engine):
    """Puts both into an engine's content store under the names of the course."""
    engine.import_image(python_slim(), "python:3.11-slim", env=PYTHON_ENV, cmd='["python3"]')
    engine.import_image(postgres(), "postgres:latest", "--entrypoint", '["docker-entrypoint.sh"]',
                        env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"),
                        cmd='["postgres"]')
