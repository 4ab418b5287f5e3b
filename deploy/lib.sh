# What the project's scripts share: system packages, the release build, and waiting for what was started.
# To be sourced by bash scripts that run with `set -euo pipefail`.

# What the build links against, and what fetches its Swift packages.
BUILD_PACKAGES=(libssl-dev libhiredis-dev libnghttp2-dev libcurl4-openssl-dev git ca-certificates)
# What makes up the gateway and its stand-in upstreams.
PROGRAMS=(gatehouse-policyd gatehouse-proxy gatehouse stub-service)

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# install_packages PACKAGE…: installs what is missing, as root or through sudo, or says how and stops.
install_packages() {
    local missing=() package
    for package; do
        is_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    if ((EUID != 0)) && ! { command -v sudo >/dev/null && sudo -v; }; then
        fail "System packages are missing. Run as root:
    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "Installing ${missing[*]}"
    as_root apt-get -q update
    without_starting_services as_root \
        env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}"
    disable_services "${missing[@]}"
}

is_installed() {
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Debian starts a server as soon as its package is there, on its public port. policy-rc.d is where that can be
# declined; an administrator's own is left alone. A subshell, so that its end, by Ctrl-C too, takes the file away.
without_starting_services() (
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root install -m 0755 /dev/stdin "$policy"
    fi
    "$@"
)

# Nor are they to start with the machine from now on.
disable_services() {
    [[ -d /run/systemd/system ]] || return 0
    local package
    for package; do
        if systemctl --quiet is-enabled "$package.service" 2>/dev/null; then
            as_root systemctl --quiet disable "$package.service"
        fi
    done
}

# Stops unless Swift 6.3 or later is at hand.
require_swift() {
    local version="" platform=debian12
    if command -v swift >/dev/null; then
        version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p')
    fi
    if [[ -n $version ]] && printf '%s\n' 6.3 "$version" | sort --version-sort --check=quiet; then
        return 0
    fi
    [[ $(uname -m) != aarch64 ]] || platform=debian12-aarch64
    fail "Swift 6.3 or later is needed; found: ${version:-none}. On Debian 12, run as root:
    apt-get update && apt-get install --no-install-recommends binutils-gold ca-certificates curl gcc git \\
        libcurl4-openssl-dev libedit-dev libicu-dev libncurses-dev libpython3-dev libsqlite3-dev \\
        libstdc++-12-dev libxml2-dev pkg-config tzdata uuid-dev
    mkdir -p /opt/swift && curl -fL https://download.swift.org/swift-6.3.1-release/$platform/swift-6.3.1-RELEASE/swift-6.3.1-RELEASE-$platform.tar.gz |
        tar xz --strip-components=1 -C /opt/swift
and then, as yourself:
    export PATH=/opt/swift/usr/bin:\$PATH
How to verify the download, and other systems: https://www.swift.org/install/linux/"
}

# build_release ROOT PROGRAM…: with SwiftPM's own progress shown. Swift's libraries are linked in, so that a machine which runs
# the programs needs no Swift; a tenth less of the proxy's own CPU comes with it.
build_release() {
    local program
    say "Building in release mode (the first time takes some minutes)"
    for program in "${@:2}"; do
        swift build --package-path "$1" --configuration release --static-swift-stdlib --product "$program"
    done
}

# release_directory ROOT: where they are then.
release_directory() {
    swift build --package-path "$1" --configuration release --show-bin-path
}

# port_is_taken PORT: whether somebody listens there on 127.0.0.1.
port_is_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# wait_until SECONDS COMMAND…: asks again until the command succeeds; fails when the time is over.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}
