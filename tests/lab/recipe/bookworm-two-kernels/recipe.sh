# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12 with two kernels in a volume group.
: "${lab:?}"
suite=bookworm
firmware=bios
number=17
storage=lvm
filesystem=xfs
network=networkd
extras="boot rt"
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
