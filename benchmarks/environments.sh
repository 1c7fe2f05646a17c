#!/usr/bin/env bash
# The peers' virtual environments, one for each, because their dependencies differ from seqkit's.
#
#   benchmarks/environments.sh FOLDER [PYTHON]     makes FOLDER/flair and FOLDER/spacy, unless they exist
#
# torch is pinned to seqkit's version (constraints.txt), so that both sides use the same library. PIP_FLAGS is passed
# to pip: `PIP_FLAGS="--index-url URL"` where the default index serves a torch built for CUDA.
set -euo pipefail

folder=${1:?usage: environments.sh FOLDER [PYTHON]}
python=${2:-python3}
constraints=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/constraints.txt
torch=$(sed -n 's/^torch==/torch==/p' "$constraints")

make_environment() {
    local place=$folder/$1
    shift
    if [ ! -e "$place/.ready" ]; then
        "$python" -m venv "$place"
        # shellcheck disable=SC2086 - several flags, or none
        "$place/bin/python" -m pip install --quiet ${PIP_FLAGS:-} "$@"
        touch "$place/.ready"
    fi
}

make_environment flair "$torch" flair==0.15.1
make_environment spacy spacy==3.8.18
