# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13, NetworkManager with a VLAN whose card has no profile.
: "${lab:?}"
suite=trixie
firmware=bios
number=28
network=networkmanager-vlan
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
