# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13 in an encrypted partition, which an initramfs of dracut opens.
: "${lab:?}"
suite=trixie
firmware=bios
number=24
storage=luks
initramfs=dracut
network=networkmanager
extras=boot
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
