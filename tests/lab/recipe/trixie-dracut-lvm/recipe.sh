# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13 in a volume group, started by an initramfs of dracut, with a data disk.
: "${lab:?}"
suite=trixie
firmware=uefi
number=22
storage=lvm
initramfs=dracut
network=networkd
extras="boot data"
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
