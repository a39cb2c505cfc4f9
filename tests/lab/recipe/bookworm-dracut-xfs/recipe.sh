# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12 on one xfs, started by an initramfs of dracut.
: "${lab:?}"
suite=bookworm
firmware=bios
number=11
filesystem=xfs
initramfs=dracut
network=networkmanager
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
