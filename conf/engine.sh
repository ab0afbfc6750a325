#!/bin/bash
# A Podman of its own below one directory: its images, containers and network are shared with nothing
# else on the machine. Used by ./quickstart and by the tests.
#
#   conf/engine.sh prepare DIR           is there an engine that works? makes DIR/on when so, else says why
#   conf/engine.sh serve DIR             the engine's API on DIR/podman.sock, in the foreground
#   conf/engine.sh podman DIR ARGUMENT…  podman, on that store
#   conf/engine.sh clean DIR             after the service has ended: removes what is outside DIR
set -euo pipefail

ENGINE=
HASH=
RUNROOT=

podman_own()
{
    CONTAINERS_CONF=$ENGINE/containers.conf TMPDIR=$ENGINE/tmp podman --root "$ENGINE/storage" --runroot "$RUNROOT" "$@"
}

# write_conf RUNTIME LIMITS DEFAULT-NETWORK. Locks and marks of what runs are our own, too: with the run
# directory gone, by a reboot or by clean, Podman finds its containers stopped and starts them anew. The range of addresses follows from the path, so that two
# engines on one machine seldom meet (what is in use Podman leaves out by itself).
write_conf()
{
    cat >"$ENGINE/containers.conf" <<END
[containers]
$2
[network]
network_config_dir = "$ENGINE/networks"
default_network = "$3"
default_subnet_pools = [{"base" = "10.$((128 + 0x${HASH:0:2} % 128)).0.0/16", "size" = 26}]
[engine]
runtime = "$1"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$RUNROOT/libpod"
lock_type = "file"
END
}

# A network called as the default one is said to be there although it is not: another name is needed
# while it is made.
make_network()
{
    [ ! -e "$ENGINE/networks/wisehost.json" ] || return 0
    write_conf "$1" "$2" none
    podman_own network create --disable-dns wisehost
    # Podman calls the bridge podman1, podman2, … as they are free at this moment, and the same name is free
    # again for others while no container runs here: on a bridge of another engine ours would not be reached.
    sed -i 's/"network_interface": "[^"]*"/"network_interface": "wh-'"${HASH:0:10}"'"/' "$ENGINE/networks/wisehost.json"
}

# Does a container start with this, network and all?
works_with()
{
    command -v "$1" >/dev/null || return 1
    make_network "$@" || return 1
    write_conf "$1" "$2" wisehost
    podman_own run --rm --pull never -p 127.0.0.1::8080 wisehost-probe /busybox true
}

# crun is what Debian installs with podman; where the kernel's control groups are mixed it does not
# start, and runc with lower limits does.
try_engine()
{
    local limits='default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]'
    mkdir -p "$ENGINE/probe" "$ENGINE/networks"
    mkdir -p -m 0700 "$ENGINE/tmp" # not /var/tmp: what a build that was killed leaves is found, and goes with the rest
    cp /bin/busybox "$ENGINE/probe/busybox"
    printf 'FROM scratch\nCOPY busybox /busybox\n' >"$ENGINE/probe/Dockerfile"
    write_conf runc '' none
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
    HASH=$(printf %s "$ENGINE" | sha256sum)
    # Podman takes no path over 50 bytes here, and ours may be anywhere.
    RUNROOT=/run/wisehost-engine-${HASH:0:12}
    shift 2
    case $verb in
    prepare) prepare ;;
    serve)
        mkdir -p -m 0700 "$ENGINE/tmp"
        export CONTAINERS_CONF=$ENGINE/containers.conf TMPDIR=$ENGINE/tmp
        rm -f "$ENGINE/podman.sock"
        cd "$ENGINE" # conmon leaves a mark where it was started when a container is killed for want of memory
        exec podman --root "$ENGINE/storage" --runroot "$RUNROOT" \
            system service --time 0 "unix://$ENGINE/podman.sock"
        ;;
    podman) podman_own "$@" ;;
    clean) rm -rf "$RUNROOT" ;;
    *) exit 2 ;;
    esac
}

main "$@"
