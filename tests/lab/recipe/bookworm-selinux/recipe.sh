# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12 with SELinux, where every file wants a label.
: "${lab:?}"
suite=bookworm
firmware=bios
number=25
network=networkd
extras="boot selinux"
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"
