# shellcheck shell=bash
# Owns running a script in the libguestfs appliance, for storage that the builder's kernel may not know.

# in_appliance SCRIPT TREE DISK...: runs SCRIPT with the caller's exported variables, the disks as sda, sdb... in this order and
# TREE, read only, as $tree_device behind them.
in_appliance() {
    local script=$1 tree=$2 variables disks=() letters=({a..z})
    shift 2
    for disk in "$@"; do disks+=(--format=raw --add "$disk"); done
    disks+=(--format=raw --ro --add "$tree")
    # The recipe's world, and not what makes up this one.
    variables=$(export -p | grep -vE '^declare -x (PATH|HOME|TMPDIR|LVM_[A-Z_]*|PWD|OLDPWD|SHLVL)(=|$)')
    LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=$(appliance_settings) guestfish --rw "${disks[@]}" \
        run : debug sh "bash -euo pipefail /proc/self/fd/3 3<<'SCRIPT'
$variables
export tree_device=/dev/sd${letters[$#]}
$(<"$script")
SCRIPT" >&2
}

# Without a KVM that works libguestfs must be told to emulate.
appliance_settings() {
    # shellcheck source=machine/accel.sh
    source "$lab/machine/accel.sh"
    case $(accelerator) in *tcg*) echo force_tcg ;; esac
}
