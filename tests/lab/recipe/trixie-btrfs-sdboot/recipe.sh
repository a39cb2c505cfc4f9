# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13 on btrfs with subvolumes, started by systemd-boot.
: "${lab:?}"
suite=trixie
firmware=uefi
number=12
filesystem=btrfs
network=networkd
loader=systemd-boot
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
