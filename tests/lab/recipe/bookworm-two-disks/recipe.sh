# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12 on a volume group over two disks.
: "${lab:?}"
suite=bookworm
firmware=bios
number=13
storage=lvm-two-disks
extras=boot
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
