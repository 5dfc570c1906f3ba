#!/usr/bin/env python3
"""systemctl where no systemd runs: starts what a unit says, as its user, and waits until it is ready.

Of a unit it obeys Type, ExecStart, ExecReload, User, Group, UMask, StateDirectory and EnvironmentFile, with the drop-ins.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = [Path("/etc/systemd/system"), Path("/lib/systemd/system"), Path("/usr/lib/systemd/system")]


def service_of(unit):
    """The section [Service] with its drop-ins: the last value of each key; an empty value takes back what came before."""
    file = next(folder / unit for folder in UNITS if (folder / unit).exists())
    drop_ins = [path for folder in UNITS for path in sorted((folder / f"{unit}.d").glob("*.conf"))]
    found = {}
    for path in [file, *drop_ins]:
        section = None
        for line in path.read_text().splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and re.match(r"\w+=", line):
                key, value = line.split("=", 1)
                if key == "ExecStart" and value and found.get(key):
                    sys.exit(f"{path}: a second {key}=, which systemd refuses")
                found[key] = value
    return found


def environment_of(service):
    environment = {"PATH": os.environ["PATH"]}
    file = service.get("EnvironmentFile")
    if file:
        for line in Path(file).read_text().splitlines():
            if "=" in line and not line.startswith("#"):
                name, value = line.split("=", 1)
                environment[name] = "".join(shlex.split(value))
    return environment


def words_of(command, environment):
    """The words of a command; `$NAME` as a word of its own stands for the words of its value, none if it is empty."""
    words = []
    for word in shlex.split(command):
        words += environment.get(word[1:], "").split() if word.startswith("$") else [word]
    return words


def keep(unit, service, ready):
    """Runs the service to its end, and writes to `ready` once it has started."""
    environment = environment_of(service)
    user = service.get("User", "root")
    group = service.get("Group", user)
    state = service.get("StateDirectory")
    if state:
        folder = Path("/var/lib") / state
        folder.mkdir(exist_ok=True)
        folder.chmod(int(service.get("StateDirectoryMode", "0755"), 8))
        shutil.chown(folder, user, group)
    notify = None
    if service.get("Type") == "notify":
        path = f"/run/{unit}.notify"
        Path(path).unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(path)
        os.chmod(path, 0o777)
        environment["NOTIFY_SOCKET"] = path
    log = open(f"/var/log/{unit}.log", "ab")
    process = subprocess.Popen(
        words_of(service["ExecStart"], environment), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        user=user, group=group, extra_groups=[], umask=int(service.get("UMask", "0022"), 8), cwd="/", close_fds=True,
    )
    Path(f"/run/{unit}.pid").write_text(str(process.pid))
    if notify is None:
        ready.write("ready")
        ready.close()
    else:
        notify.settimeout(0.05)
        while process.poll() is None:
            try:
                if "READY=1" in notify.recv(4096).decode().splitlines() and not ready.closed:
                    ready.write("ready")
                    ready.close()
            except TimeoutError:
                pass
    process.wait()
    Path(f"/run/{unit}.pid").unlink()


def start(unit):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        keep(unit, service_of(unit), os.fdopen(writer, "w"))
        os._exit(0)
    os.close(writer)
    if os.fdopen(reader).read() != "ready":
        sys.exit(f"Job for {unit} failed. See /var/log/{unit}.log.")


def pid_of(unit):
    file = Path(f"/run/{unit}.pid")
    return int(file.read_text()) if file.exists() else None


def stop(unit):
    pid = pid_of(unit)
    if pid:
        os.kill(pid, signal.SIGTERM)
    while pid_of(unit):
        time.sleep(0.02)


def main(words):
    command, names = words[0], [name for name in words[1:] if not name.startswith("-")]
    for name in names:
        unit = name if name.endswith(".service") else f"{name}.service"
        if command in ("stop", "restart"):
            stop(unit)
        if command in ("start", "restart") or (command == "enable" and "--now" in words):
            start(unit)
        if command == "reload":
            subprocess.run(words_of(service_of(unit)["ExecReload"], {"MAINPID": str(pid_of(unit))}), check=True)
        if command == "is-active":
            print("active" if pid_of(unit) else "inactive")


main(sys.argv[1:])
