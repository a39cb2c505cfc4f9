# shellcheck shell=bash
# Owns the base systems: a tar of a minimal Debian with a recipe's packages, cached by suite and package list, and
# shared by the guests that ask for the same. A base may carry a stock of packages that are not installed, in /opt/lab/SET.

: "${lab:?}" "${cache:?}"

# The mirror that apt uses on this machine, from apt itself: the suite's own archive, not its updates or a third party's.
mirror() {
    local uri
    # shellcheck disable=SC2016 # apt's own variables
    uri=$(apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
        awk '$1 == "Debian" && $2 == "main" && !uri { uri = $3 } END { print uri }')
    # Without downloaded lists apt knows no labels; the path then tells the main archive.
    if [[ -z $uri ]]; then
        uri=$(apt-get update --print-uris | sed -n "s|^'\([^']*/debian/\)dists/[^/]*/InRelease'.*|\1|p")
        uri=${uri%%$'\n'*}
    fi
    [[ -n $uri ]] || fail "apt's sources name no Debian mirror"
    printf '%s\n' "$uri"
}

# base_system SUITE PACKAGES STOCK LEFT_OUT: prints the path of the tar. STOCK is "SET=PACKAGE SET=PACKAGE...", LEFT_OUT path
# patterns that dpkg leaves out, beside what no guest has.
base_system() {
    local suite=$1 packages=$2 stock=$3 left_out=$4 digest tar lock
    digest=$({ cat "$lab/part/base.sh" "$lab/part/stock"; printf '%s\n' "$@"; } | sha256sum | cut -c1-12)
    tar=$cache/base-$suite-$digest.tar.zst
    if [[ ! -f $tar ]]; then
        exec {lock}>"$tar.lock"
        flock "$lock"
        # Not `[[ ]] || step`: bash would go on after an error in there.
        if [[ ! -f $tar ]]; then step "base $suite" make_base "$suite" "$packages" "$stock" "$left_out" "$tar" >&2; fi
        exec {lock}>&-
    fi
    printf '%s\n' "$tar"
}

# make_base SUITE PACKAGES STOCK LEFT_OUT TAR
make_base() {
    local suite=$1 packages=$2 stock=$3 left_out=$4 tar=$5 mirror set pattern more=()
    mirror=$(mirror)
    for set in $stock; do more+=(--customize-hook="$lab/part/stock \"\$1\" ${set%%=*} ${set#*=}"); done
    while read -r pattern; do [[ -z $pattern ]] || more+=(--dpkgopt="path-exclude=$pattern"); done < <(tr ' ' '\n' <<<"$left_out")
    rm -f "$tar.part"
    # INITRD=No: the guest's initramfs is made later, as VMware years left its configuration, so not here as well.
    # The clock of a builder may be past the suite's Valid-Until, or before its Date.
    INITRD=No DEBIAN_FRONTEND=noninteractive mmdebstrap --mode=root --variant=minbase --format=tar \
        --components=main --include="$packages" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
        --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "${more[@]}" \
        "$suite" - "$mirror" | zstd -q -1 -T0 -o "$tar.part"
    mv -T "$tar.part" "$tar"
}
