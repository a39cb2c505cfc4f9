#!/bin/sh
# Written by vmdk2kvm: runs what this machine was given for its first boot on KVM. A script that succeeds is removed; one that fails stays, and is
# tried again at the next boot.
cd /var/lib/vmdk2kvm/first-boot || exit 0
failed=0
for script in ./[0-9]*-*; do
    [ -x "$script" ] || continue
    if "$script"; then
        rm -f "$script"
    else
        echo "$script failed; it is tried again at the next boot" >&2
        failed=1
    fi
done
[ "$failed" -eq 0 ] && systemctl disable vmdk2kvm-first-boot.service
exit "$failed"
