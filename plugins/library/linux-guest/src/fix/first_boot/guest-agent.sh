#!/bin/sh
# Installs the QEMU guest agent: the package beside this script, else the one of the system's own repositories.
set -e
if [ -f qemu-guest-agent.deb ]; then
    DEBIAN_FRONTEND=noninteractive dpkg --install qemu-guest-agent.deb
elif [ -f qemu-guest-agent.rpm ]; then
    rpm --upgrade qemu-guest-agent.rpm
elif command -v apt-get >/dev/null; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y qemu-guest-agent
elif command -v dnf >/dev/null; then
    dnf install -y qemu-guest-agent
elif command -v yum >/dev/null; then
    yum install -y qemu-guest-agent
elif command -v zypper >/dev/null; then
    zypper --non-interactive install qemu-guest-agent
elif command -v pacman >/dev/null; then
    pacman --sync --refresh --noconfirm qemu-guest-agent
else
    echo "no package manager that is known here" >&2
    exit 1
fi
rm -f qemu-guest-agent.deb qemu-guest-agent.rpm
systemctl enable --now qemu-guest-agent.service
