# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13, an encrypted logical volume.
: "${lab:?}"
suite=trixie
firmware=bios
number=19
storage="luks-on-lvm"
network=networkmanager
extras=boot
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
