# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12 on a mirror of two disks, with a data disk.
: "${lab:?}"
suite=bookworm
firmware=bios
number=15
storage=md
extras=data
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
