#!/bin/sh
# Prints the path of a Python that can make a virtual environment, or says what is missing.
#
#   find_python.sh           3.11 to 3.13 if there is one, else anything newer
#   find_python.sh MIN MAX   within these versions only, such as 3.12 3.13
#
# Without MIN and MAX, PYTHON=... in the environment names the one interpreter to try.
# Every candidate is run: a name on PATH may be a version manager's stub for a Python that is absent.

tested_min=3.11
tested_max=3.13
unfit=     # "3.9.18 (python3), ..." for the message
no_venv=   # the same, for those that lack venv or ensurepip

probe='
import sys
print("%d.%d.%d" % sys.version_info[:3])
try:
    import ensurepip, venv
    print("venv")
except ImportError:
    print("no-venv")
print(sys.executable)
'

# number 3.11.7 -> 311, so that versions compare as numbers
number() {
    echo "$1" | { IFS=. read -r major minor rest; echo $((major * 100 + minor)); }
}

# try CANDIDATE MIN MAX: prints the interpreter's path and succeeds if it will do
try() {
    answer=$("$1" -c "$probe" 2>/dev/null </dev/null | tr -d '\r')
    { read -r version; read -r venv; read -r path; } <<END
$answer
END
    case $version in [0-9]*.[0-9]*.[0-9]*) ;; *) return 1 ;; esac
    found=$(number "$version")
    if [ "$found" -lt "$(number "$2")" ] || [ "$found" -gt "$(number "$3")" ]; then
        unfit="$unfit${unfit:+, }$version ($1)"
        return 1
    fi
    if [ "$venv" != venv ]; then
        no_venv="$no_venv${no_venv:+, }$version ($1)"
        no_venv_minor=${version%.*}
        return 1
    fi
    echo "$path"
}

# search MIN MAX: the newest first, on PATH and then among pyenv's
search() {
    unfit= no_venv=
    for name in 3.15 3.14 3.13 3.12 3.11; do
        [ "$(number $name)" -le "$(number "$2")" ] && [ "$(number $name)" -ge "$(number "$1")" ] || continue
        try "python$name" "$1" "$2" && return 0
    done
    for name in python3 python; do
        try $name "$1" "$2" && return 0
    done
    for name in 3.15 3.14 3.13 3.12 3.11; do
        for path in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$name".*/bin/python; do
            [ -x "$path" ] && try "$path" "$1" "$2" && return 0
        done
    done
    return 1
}

say() { echo "$*" >&2; }

explain() {  # explain WHAT IT NEEDS
    if [ -n "$no_venv" ]; then
        say "error: found Python $no_venv, but without the venv and ensurepip modules, which make virtual environments."
        say "On Debian and Ubuntu: apt install python$no_venv_minor-venv (or python3-venv). Or set PYTHON=/path/to/another/python."
        exit 1
    fi
    say "error: sciquax needs Python $1; found ${unfit:-no Python that runs}."
    say "Install one from python.org or with your system's packages, or set PYTHON=/path/to/python."
    exit 1
}

if [ $# -eq 2 ]; then
    search "$1" "$2" || explain "$1 to $2 for this"
elif [ -n "$PYTHON" ]; then
    if ! "$PYTHON" -c 'pass' >/dev/null 2>&1 </dev/null; then
        say "error: PYTHON=$PYTHON does not run. Give the name or path of a Python $tested_min or newer."
        exit 1
    fi
    try "$PYTHON" $tested_min 99.0 || explain "$tested_min or newer"
else
    search $tested_min $tested_max || search $tested_min 99.0 || explain "$tested_min or newer"
fi
