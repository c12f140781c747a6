#!/bin/sh
# Stands for docker: notes each call in `calls` and plays an engine with the files beside it. What runs is running/SERVICE.
here=$(dirname "$0")
printf '%s\n' "$*" >>"$here/calls"
mkdir -p "$here/running"
if [ -e "$here/down" ]; then
    echo "Cannot connect to the Docker daemon" >&2
    exit 1
fi
case $1 in
version) exit 0 ;;
inspect)
    [ "$2" = --format ] && image=$(cat "$here/running/$4") || exit 64
    case $3 in
    *Config.Image*) echo "$image" ;;
    *RestartCount*)
        echo "$4 $(wc -l <"$here/restarts" 2>/dev/null || echo 0) today"
        [ ! -e "$here/restarts" ] || echo again >>"$here/restarts"
        ;;
    *) echo "running healthy" ;;
    esac
    exit 0
    ;;
compose) shift ;;
*) exit 64 ;;
esac
files=
while :; do
    case $1 in
    -f) files="$files $2"; shift 2 ;;
    --project-directory) shift 2 ;;
    *) break ;;
    esac
done
for file in $files; do [ -f "$file" ] || exit 64; done
what=$1
shift
case $what in
config | logs) echo "$what $*" ;;
pull)
    if [ -e "$here/no-registry" ]; then
        rm "$here/no-registry"
        echo "the registry does not answer" >&2
        exit 1
    fi
    ;;
up)
    wanted=
    while [ $# -gt 0 ]; do
        case $1 in
        --pull) shift 2 ;;
        -*) shift ;;
        *) wanted="$wanted $1 "; shift ;;
        esac
    done
    # Later files win, as in Compose.
    # shellcheck disable=SC2086
    awk '/^  [a-z]*:$/ {sub(":", "", $1); service = $1} /^    image:/ {gsub("\"", "", $2); print service, $2}' $files |
        while read -r service image; do
            case $wanted in *" $service "*) echo "$image" >"$here/running/$service" ;; esac
        done
    [ ! -e "$here/stubborn" ] || cat "$here/stubborn" >"$here/running/web"
    if [ -e "$here/broken" ] && grep -qF "$(cat "$here/broken")" "$here"/running/*; then
        echo "container shop-web-1 is unhealthy" >&2
        exit 1
    fi
    ;;
ps) [ ! -f "$here/running/$2" ] || echo "$2" ;;
rm)
    shift 2
    for service; do rm -f "$here/running/$service"; done
    ;;
*) exit 64 ;;
esac
