need openstack
# What somebody made under this name is no business of this script.
taken() {
    local said
    if said=$(openstack "$1" show -f value -c id -- "$2" 2>&1) || [[ $said == *'More than one'* ]]; then
        say "there is a $1 named $2 already: delete or rename it, this script replaces nothing"
        exit 73
    fi
}

# Makes the volume $1 of the image file $2, which is of the format $3, with $4 GiB; what follows goes to `volume create`.
volume() {
    local name=$1 format=$3 size=$4 image_id volume_id status
    find_image "$2"
    shift 4
    image_id=$(openstack image create -f value -c id --private --container-format bare --disk-format "$format" \
        --file "$image" "${properties[@]}" -- "$name")
    volume_id=$(openstack volume create -f value -c id --image "$image_id" --size "$size" "$@" -- "$name")
    until status=$(openstack volume show -f value -c status -- "$volume_id"); [[ $status == available ]]; do
        if [[ $status == error* ]]; then
            say "the volume $name could not be made"
            exit 74
        fi
        sleep "${PATIENCE:-5}"
    done
    # It holds what the image held.
    openstack image delete -- "$image_id"
    volumes+=("$volume_id")
}

# Makes the port $1 on the network $2; what follows goes to `port create`.
port() {
    local name=$1 network=$2 port_id
    shift 2
    port_id=$(openstack port create -f value -c id --network "$network" "$@" -- "$name")
    words+=(--port "$port_id")
}

volumes=()
words=()
