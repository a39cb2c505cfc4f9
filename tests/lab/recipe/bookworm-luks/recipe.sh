# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12 in an encrypted partition.
: "${lab:?}"
suite=bookworm
firmware=uefi
number=18
storage=luks
extras=boot
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
