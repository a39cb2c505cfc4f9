# What stands in single quotes is a name, whatever it looks like.
# shellcheck disable=SC2016
set -euo pipefail

file=@FILE@
here=${BASH_SOURCE[0]%/*}
[[ $here != "${BASH_SOURCE[0]}" ]] || here=.
# The last letter keeps a line feed at the end of a folder's name.
here=$(CDPATH='' cd -- "$here" && printf '%s/x' "$PWD")
here=${here%/x}

say() {
    printf '%s: %s\n' "$file" "$1" >&2
}

need() {
    command -v -- "$1" >/dev/null || { say "$1 is not installed here"; exit 69; }
}

# Sets `image`. It is looked for beside this script first: the folder may have been moved.
find_image() {
    image=$1
    if [[ -e $here/${image##*/} ]]; then image=$here/${image##*/}; fi
    if [[ ! -e $image ]]; then
        say "$image is missing"
        exit 65
    fi
}
