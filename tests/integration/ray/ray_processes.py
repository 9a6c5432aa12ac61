"""Which of Ray's processes belong to a server, as the kernel tells it."""

from pathlib import Path

REPLICA = "ray::ServeReplica:"
STORE = "ray::StoreActor"


def descendants(pid: int) -> dict[int, str]:
    """Returns the processes below another one: what they say they are, by their ids."""
    children: dict[int, list[int]] = {}
    titles: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        children.setdefault(parent, []).append(int(folder.name))
        titles[int(folder.name)] = title
    found: dict[int, str] = {}
    left = [pid]
    while left:
        below = children.get(left.pop(), [])
        left += below
        found |= {child: titles[child] for child in below}
    return found


def titled(pid: int, title: str) -> list[int]:
    """Returns the processes below another one whose titles begin so."""
    return [child for child, name in descendants(pid).items() if name.startswith(title)]


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
