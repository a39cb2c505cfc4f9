# shellcheck shell=bash
# Owns running a script in the libguestfs appliance, for storage that the builder's kernel may not know.

: "${lab:?}"

# in_appliance SCRIPT TREE DISK...: runs SCRIPT with the caller's exported variables, the disks as sda, sdb... in this order and
# TREE as $tree_device behind them. guestfish's --ro would be for all disks, wherever it stands.
in_appliance() {
    local script=$1 tree=$2 variables text disks=() letters=({a..z})
    shift 2
    for disk in "$@"; do disks+=(--format=raw --add "$disk"); done
    disks+=(--format=raw --add "$tree")
    # The recipe's world, and not what makes up this one. In base64, since guestfish would take the text apart at its quotes.
    variables=$(export -p | grep -vE '^declare -r?x (PATH|HOME|TMPDIR|LVM_[A-Z_]*|PWD|OLDPWD|SHLVL)(=|$)')
    text=$(printf '%s\n' "$variables" "export tree_device=/dev/sd${letters[$#]}" "$(<"$script")" | base64 --wrap=0)
    LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=$(appliance_settings) guestfish --rw "${disks[@]}" \
        run : debug sh "echo $text | base64 -d >/tmp/fill && bash -euo pipefail /tmp/fill" >&2
}

# Without a KVM that works libguestfs must be told to emulate.
appliance_settings() {
    # shellcheck source=machine/accel.sh
    source "$lab/machine/accel.sh"
    case $(accelerator) in *tcg*) echo force_tcg ;; esac
}
