#!/bin/bash
# A Podman of its own below one directory: its images, containers and network are shared with nothing
# else on the machine. Used by ./quickstart and by the tests.
#
#   conf/engine.sh prepare DIR           is there an engine that works? makes DIR/on when so, else says why
#   conf/engine.sh serve DIR             the engine's API on DIR/podman.sock, in the foreground
#   conf/engine.sh podman DIR ARGUMENT…  podman, on that store
set -euo pipefail

ENGINE=

podman_own()
{
    CONTAINERS_CONF=$ENGINE/containers.conf podman --root "$ENGINE/storage" --runroot "$ENGINE/run" "$@"
}

# write_conf RUNTIME LIMITS
write_conf()
{
    cat >"$ENGINE/containers.conf" <<END
[containers]
$2
[network]
network_config_dir = "$ENGINE/networks"
default_network = "wisehost"
[engine]
runtime = "$1"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
}

# Address range and name of the bridge follow from the path, so that two engines do not meet.
make_network()
{
    local hash
    podman_own network exists wisehost && return
    hash=$(printf %s "$ENGINE" | sha256sum)
    podman_own network create --disable-dns --interface-name "wh${hash:0:8}" \
        --subnet "10.$((128 + 0x${hash:8:2} % 128)).$((0x${hash:10:2})).0/24" wisehost
}

# Does a container start with this, network and all?
works_with()
{
    command -v "$1" >/dev/null || return 1
    write_conf "$1" "$2"
    make_network \
        && podman_own run --rm --pull never -p 127.0.0.1::8080 wisehost-probe /busybox true
}

# crun is what Debian installs with podman; where the kernel's control groups are mixed it does not
# start, and runc with lower limits does.
try_engine()
{
    local limits='default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]'
    mkdir -p "$ENGINE/probe" "$ENGINE/networks"
    cp /bin/busybox "$ENGINE/probe/busybox"
    printf 'FROM scratch\nCOPY busybox /busybox\n' >"$ENGINE/probe/Dockerfile"
    write_conf runc ''
    podman_own image exists wisehost-probe \
        || podman_own build -q -t wisehost-probe "$ENGINE/probe" || return 1
    works_with crun '' || works_with runc "$limits"
}

prepare()
{
    if [ -s "$ENGINE/on" ]; then
        return
    fi
    if ! command -v podman >/dev/null || [ ! -x /bin/busybox ]; then
        echo 'there is no container engine' >&2
        return 1
    fi
    mkdir -p "$ENGINE"
    if ! try_engine; then
        echo 'Podman cannot start containers here' >&2
        return 1
    fi
    echo yes >"$ENGINE/on"
}

main()
{
    local verb=${1:?}
    ENGINE=${2:?}
    shift 2
    case $verb in
    prepare) prepare ;;
    serve)
        export CONTAINERS_CONF=$ENGINE/containers.conf
        rm -f "$ENGINE/podman.sock"
        exec podman --root "$ENGINE/storage" --runroot "$ENGINE/run" \
            system service --time 0 "unix://$ENGINE/podman.sock"
        ;;
    podman) podman_own "$@" ;;
    *) exit 2 ;;
    esac
}

main "$@"
