# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12 behind shim and GRUB on UEFI, xfs, NetworkManager with two cards.
: "${lab:?}"
suite=bookworm
firmware=uefi
number=20
filesystem=xfs
network=networkmanager
extras="boot nic"
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
