# A volume that has its data is not uploaded again: a second run goes on.
upload() {
    local volume=$1 phase
    find_image "$2"
    phase=$(kubectl get datavolume "$volume" "${namespace[@]}" -o 'jsonpath={.status.phase}')
    if [[ $phase == Succeeded ]]; then
        say "$volume has its data already"
        return
    fi
    virtctl image-upload dv "$volume" "${namespace[@]}" --no-create "--image-path=$image" "${more[@]}"
}

need kubectl
need virtctl
more=("$@")
