"""What this machine says about its processes, locks and memory; None or nothing where it does not say."""

import subprocess
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


def process_identity(pid: int) -> str | None:
    """What tells a process from a later one with the same number; None where it does not run, as zombies do not."""
    if not (_PROC / "self").exists():
        shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
        state, _, began = shown.stdout.strip().partition(" ")
        return None if not state or state.startswith("Z") else began.strip()
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # proc(5): state is the first, start time in ticks the twentieth
    return None if fields[0] in "ZX" else f"{boot}-{fields[19]}"


def lock_holders() -> dict[int, int]:
    """Inode of each file locked by ``flock`` -> pid of who holds the lock (Linux)."""
    try:
        lines = (_PROC / "locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    fields = [line.split() for line in lines if " FLOCK " in line and "->" not in line]
    return {int(parts[5].rsplit(":", 1)[1]): int(parts[4]) for parts in fields}


def memory_total() -> int | None:
    """Bytes of memory that all processes here can have together."""
    return _least(_meminfo("MemTotal"), _cgroup("memory.max"))


def memory_available() -> int | None:
    """Bytes of memory that a new process can have now; what only caches files counts as free, the kernel drops it."""
    limit, used = _cgroup("memory.max"), _cgroup_working_set()
    return _least(_meminfo("MemAvailable"), max(0, limit - used) if limit is not None and used is not None else None)


def _meminfo(name: str) -> int | None:
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)


def _cgroup(name: str) -> int | None:
    try:
        text = (_CGROUP / name).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _cgroup_working_set() -> int | None:
    """``memory.current`` without ``inactive_file`` (Kubernetes' working set): bytes that cannot be had back."""
    used = _cgroup("memory.current")
    if used is None:
        return None
    try:
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return used
    cached = next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
    return max(0, used - cached)


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)
