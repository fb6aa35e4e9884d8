#!/bin/sh
# Makes an environment of the first Python that will do, with the requirements that fit it:
#
#   requirements/install.sh FOLDER default|latest
#
# The Python of an environment that is there already comes first, unless PYTHON names another. What was downloaded or
# installed before is not done again. FOLDER/.installed is touched last, so that an interrupted installation goes on.
set -eu
folder=$1
requirements=$(dirname "$0")/$2.txt

# The version of a Python that runs and can make environments; nothing of another.
version() { "$1" -c 'import ensurepip, sys, venv; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

python=
for candidate in ${PYTHON:-"$folder/bin/python" python3.12 python3.11 python3.13 python3}; do
    case $(version "$candidate") in
        3.11 | 3.12) python=$candidate ;;
        3.13) python=$candidate requirements=$(dirname "$0")/latest.txt ;; # for which there is no tensorflow-io
        *) continue ;;
    esac
    break
done
if [ -z "$python" ]; then
    cat >&2 <<EOF
error: of ${PYTHON:-python3.12, python3.11, python3.13 and python3}, none is a Python 3.11, 3.12 or 3.13 that runs and has venv. Install one:
  Debian, Ubuntu   sudo apt install python3 python3-venv
  Fedora           sudo dnf install python3.12
  macOS            brew install python@3.12
  where that gives another version: uv python install 3.12 (https://docs.astral.sh/uv)
EOF
    exit 1
fi

echo "Python $(version "$python") ($python): $requirements is installed into $folder, 2.5 GB on disk, some minutes the first time"
if [ "$(version "$folder/bin/python")" != "$(version "$python")" ] || ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$folder"
fi
# From 25.1 on, pip shows a bar while it downloads and another one while it installs.
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input 'pip>=25.1'
"$folder/bin/python" -m pip install --disable-pip-version-check --no-input --requirement "$requirements"
touch "$folder/.installed"
