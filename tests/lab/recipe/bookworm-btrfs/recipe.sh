# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12 on btrfs with subvolumes, which GRUB reads itself.
: "${lab:?}"
suite=bookworm
firmware=bios
number=21
filesystem=btrfs
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
