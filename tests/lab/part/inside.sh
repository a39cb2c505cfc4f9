# shellcheck shell=bash
# Owns running a recipe's script inside the guest's tree. Mounts live in a namespace of their own, so that nothing is left
# behind however the script ends.

: "${lab:?}"

# inside ROOT SCRIPT...: runs the scripts as one in a chroot of ROOT with the caller's exported variables, with grub-says in
# the place of the guest's tools that would ask the builder's devices.
inside() {
    local root=$1 script
    script=$(cat "${@:2}")
    # shellcheck disable=SC2016 # expanded by the inner shell
    env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TMPDIR=/tmp \
        unshare --mount --pid --fork --kill-child -- bash -euo pipefail -c '
            root=$1 script=$2 stand_in=$3
            mount -t proc proc "$root/proc"
            for tool in usr/sbin/grub-probe usr/bin/grub-mkrelpath; do
                mount --bind "$stand_in" "$root/$tool"
            done
            exec chroot "$root" /bin/bash -euo pipefail -c "$script"
        ' inside "$root" "$script" "$lab/part/grub-says" </dev/null >&2
}
