# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13 on a mirror of two disks, behind UEFI.
: "${lab:?}"
suite=trixie
firmware=uefi
number=23
storage=md
network=networkd
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
