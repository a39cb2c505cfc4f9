# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns SELinux's settings. Every file's label is given where the disk is made (matrix/fill).

printf 'SELINUX=%s\nSELINUXTYPE=default\n' "$selinux" >/etc/selinux/config
