# --- processes: look PID sets st (state) pp (parent) pg (group) born comm raw (wait status), or fails ---
if [ -r "$proc/self/stat" ]; then # Linux: builtins only, so that watching forks nothing
  boot=none; { read -r boot <"$proc/sys/kernel/random/boot_id"; } 2>/dev/null
  now() { read -r now _ <"$proc/uptime"; now=${now%.*}${now#*.}; now=${now#"${now%%[!0]*}"}; now=${now:-0}; }
  look() { # a process may have newlines and brackets in its name: read all, count after the last bracket
    all=; { while IFS= read -r row || [ -n "$row" ]; do all="$all $row"; done <"$proc/$1/stat"; } 2>/dev/null
    [ -n "$all" ] || return 1
    comm=${all#*\(}; comm=${comm%\)*}
    set -- ${all##*\)}
    st=$1 pp=$2 pg=$3 born=${20} raw=${50:-}
  }
  pids() { for f in "$proc"/[0-9]*; do look "${f##*/}" && [ "$pg" = "$1" ] && alike && mem=${f##*/} && return; done; return 1; }
else # ps: macOS
  boot=$(sysctl -n kern.bootsessionuuid 2>/dev/null) || boot=none
  now() { now=$(date +%s)00; }
  look() {
    set -- $(ps -o stat= -o ppid= -o pgid= -o lstart= -p "$1" 2>/dev/null)
    [ $# -gt 3 ] || return 1
    st=${1%"${1#?}"} pp=$2 pg=$3 comm= raw=; shift 3; born=$(IFS=_; echo "$*")
  }
  pids() {
    g=$1; set -- $(ps -A -o pid= -o pgid= -o stat=)
    while [ $# -ge 3 ]; do st=${3%"${3#?}"}; [ "$2" = "$g" ] && alike && mem=$1 && return; shift 3; done; return 1
  }
fi
alike() { case $st in [ZX]) return 1 ;; esac; }
alive() { # IDENTITY: 0 alive, 2 a zombie, 1 gone or another process
  who=${1#*:}
  [ -n "$1" ] && [ "${1%%:*}" = "$boot" ] && look "${who%%:*}" && [ "$born" = "${who#*:}" ] || return 1
  alike || return 2
}
group() { # IDENTITY of a leader: does any member of its group live? the one found is looked at first next time
  who=${1#*:}
  look "${who%%:*}" && [ "$born" != "${who#*:}" ] && return 1
  [ -n "$mem" ] && look "$mem" && [ "$pg" = "${who%%:*}" ] && alike && return
  mem=; pids "${who%%:*}"
}
signal() { kill -s "$1" -- "-$pid" 2>/dev/null; }
top() { n=0; for f in "$1"[0-9]*; do f=${f##*[!0-9]}; [ "${f:-0}" -gt "$n" ] && n=$f; done; } # highest number after PREFIX
detach() { # a session of its own: neither a hang-up nor anybody's group reaches it
  if command -v setsid >/dev/null 2>&1; then (exec setsid "$@") </dev/null >/dev/null 2>&1 &
  else set -m; (exec "$@") </dev/null >/dev/null 2>&1 & set +m; fi
}

