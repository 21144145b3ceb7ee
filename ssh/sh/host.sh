# Who has this host, protocol 1: protocol.go says what each verb takes and answers.
# POSIX sh and base tools only; tried under dash, bash and busybox ash. Below $root:
#   claim.N      who launched, a symlink: made atomically with its content, and never removed. The host is held by
#                the highest N without free.N. What does not begin with v=1 is a hold made by hand.
#   ending.N     why the end of claim N was asked for, and whether its files go with it; the first one stands
#   free.N       why and when it has ended
#   ender.N.K    who is ending it
#   N/           RUNCTL_ROOT of its runs; when it has been removed a link that leads nowhere, so that nothing starts there
#   gone.N/      the same, being removed
#   id           random: two hosts with one id are one machine, or share a disk
#   v1/          this script, by digest
# Times are hundredths of a second of uptime within one boot, and seconds of the wall clock otherwise.
verb=$1 root=$2
[ -n "$root" ] || root=${RUNCTL_HOST_ROOT:-${HOME:?}/.runctl-host}
proc=${RUNCTL_PROC:-/proc}
umask 077
cd / || exit 1
say() { printf 'RUNCTLH1 %s\n' "$*"; }
bye() { say "$@"; say end; exit 0; }
nap() { sleep 0.05 2>/dev/null || sleep 1; }
number() { case $1 in '' | 0?* | *[!0-9]* | ????????????????*) bye refused code=64 text='not a number' ;; esac; }
if [ -r "$proc/uptime" ]; then
  boot=none; { read -r boot <"$proc/sys/kernel/random/boot_id"; } 2>/dev/null
  now() { read -r now _ <"$proc/uptime"; now=${now%.*}${now#*.}; now=${now#"${now%%[!0]*}"}; now=${now:-0}; }
else
  boot=$(sysctl -n kern.bootsessionuuid 2>/dev/null) || boot=none
  now() { now=$(date +%s)00; }
fi
born() { # PID: when it began into $born, so that a reused pid is never taken for the old one
  if [ -r "$proc/self/stat" ]; then
    all=; { read -r all <"$proc/$1/stat"; } 2>/dev/null; [ -n "$all" ] || return 1
    set -- ${all##*) }; case $1 in [ZX]) return 1 ;; esac
    born=${20}
  else born=$(ps -o lstart= -p "$1" 2>/dev/null) && born=$(IFS=' '; set -f; set -- $born; IFS=_; echo "$*"); fi
}
identity() { born $$ && me=$boot:$$:$born; }
lives() { who=${1#*:}; [ -n "$1" ] && [ "${1%%:*}" = "$boot" ] && born "${who%%:*}" && [ "$born" = "${who#*:}" ]; } # IDENTITY
detach() { # a session of its own, that does not count as one of a claim's
  if command -v setsid >/dev/null 2>&1; then (unset RUNCTL_ROOT; exec setsid "$@") </dev/null >/dev/null 2>&1 &
  else set -m; (unset RUNCTL_ROOT; exec "$@") </dev/null >/dev/null 2>&1 & set +m; fi
}
top() { # the highest number after PREFIX into n
  n=0
  for f in "$1"[1-9]*; do
    f=${f#"$1"}; case $f in *[!0-9]* | ????????????????*) continue ;; esac
    [ "$f" -le "$n" ] || n=$f
  done
}
of() { # WORD TEXT: its value into $value
  value=" $2 "; case $value in *" $1="*) value=${value#*" $1="}; value=${value%%" "*} ;; *) value= ;; esac
}
hello() {
  mkdir -p "$root" 2>/dev/null || bye refused code=74 text="cannot make $root"
  [ -L "$root/id" ] || ln -s "$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')" "$root/id" 2>/dev/null
  now; wall=$(date +%s)
  say host up="$now" wall="$wall" boot="$boot" id="$(readlink "$root/id")" text="$root"
}
own_disk() { # claims on a disk that hosts share would be one claim for all of them
  case $(stat -f -c %T "$root" 2>/dev/null) in nfs* | smb* | cifs | afs | lustre | ceph | gpfs | fuse* | v9fs)
    bye refused code=78 text="$root is on a disk that other hosts may share; give this host a root on a disk of its own" ;; esac
}
show() { # N: a claim as its links have it
  if [ ! -L "$root/claim.$1" ]; then say none n="$1"; return; fi
  say claim n="$1" text="$(readlink "$root/claim.$1")"
  [ ! -L "$root/ending.$1" ] || say ending n="$1" text="$(readlink "$root/ending.$1")"
  [ ! -L "$root/free.$1" ] || say free n="$1" text="$(readlink "$root/free.$1")"
  [ ! -d "$root/$1" ] || [ -L "$root/$1" ] || say kept n="$1"
}
quote() { printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"; }
held() { top "$root/claim."; [ "$n" != 0 ] && [ ! -L "$root/free.$n" ]; } # the claim that holds the host into n

# --- the end of a claim ---
ask_end() { # N DROP WHY: from now on no run starts there, and what started before is seen by whoever ends the claim
  mkdir -p "$root/$1/guard" && ln -s terminated "$root/$1/guard/ending"
  ln -s "up=$now at=$wall boot=$boot drop=$2 why=$3" "$root/ending.$1"
} 2>/dev/null
overdue() { # by the claim in $text
  of life "$text"; life=$value; of boot "$text"
  if [ "$value" = "$boot" ]; then of up "$text"; [ $((now - value)) -ge $((life * 100)) ]
  else of at "$text"; [ $((wall - value)) -ge "$life" ]; fi
}
why() { # CAUSE of a guard, for people
  case $1 in
    lifetime) echo 'its lifetime is over' ;;
    idle) echo 'nothing ran on it for its keep time' ;;
    lease) echo 'the lease of its last run is over' ;;
    reboot) echo 'nobody came for it after a reboot' ;;
    *) echo "$1" ;;
  esac
}
tend() { # what nobody else may be there to do: wake a guard, go on with an end that was cut off
  held || return
  text=$(readlink "$root/claim.$n")
  case $text in 'v=1 '*) ;; *) return ;; esac
  if [ ! -L "$root/ending.$n" ]; then
    d=$root/$n
    if [ -L "$d/guard/over" ]; then ask_end "$n" 0 "$(why "$(readlink "$d/guard/ending")")" # without our end step
    elif [ -L "$d/guard/arm" ]; then # every verb of the supervisor wakes the guard
      ward "$d" || ! supervisor "$d" || RUNCTL_ROOT=$d sh "$s" list >/dev/null 2>&1
      return
    else
      overdue || return # and never armed: whoever claimed it went away
      ask_end "$n" 0 "$(why lifetime)"
    fi
  fi
  ender "$n" || detach sh "$0" end "$root" "$n"
}
ender() { # N: is it being ended by a living process?
  k=$n; top "$root/ender.$1."; K=$n n=$k
  [ "$K" != 0 ] && lives "$(readlink "$root/ender.$1.$K")"
}
ward() { # DIR: does its guard live? its pid into $pid
  k=$n; top "$1/guard/"; g=$(readlink "$1/guard/$n"); n=$k
  pid=${g#*:}; pid=${pid%%:*}; lives "$g"
}
supervisor() { s=$(ls -t "$1"/v1/sup-* 2>/dev/null | head -n 1); [ -n "$s" ]; } # DIR: the latest installed there into $s
runs() { # DIR: the runs there that are not over into $live; what cannot be read is not over
  live=
  supervisor "$1" || return 0
  for f in "$1"/own/*/d; do
    f=${f%/d}; [ -L "$f/d" ] && [ ! -L "$f/f" ] || continue
    case $(RUNCTL_ROOT=$1 sh "$s" status "${f##*/}" 2>/dev/null) in
      *" phase=none "*end | *" phase=lost "*end | *" phase=done "*end) ;;
      *) live="$live ${f##*/}" ;;
    esac
  done
}
strays() { # DIR SIGNAL: commands there that are no runs, and what served those
  p=$(echo "RUNCTL_ROOT=$1" | grep -zlxFf - "$proc"/[0-9]*/environ 2>/dev/null)
  for f in $p; do f=${f#"$proc/"}; f=${f%/environ}; [ "$f" = $$ ] || kill -s "$2" "$f"; done 2>/dev/null
  [ -n "$p" ]
}
v_end() { # N, by a process of its own
  ender "$1" && exit
  identity && ln -s "$me" "$root/ender.$1.$((K + 1))" 2>/dev/null || exit
  d=$root/$1 asked=' '
  while runs "$d"; [ -n "$live" ]; do
    for r in $live; do
      case $asked in *" $r "*) continue ;; esac
      RUNCTL_ROOT=$d sh "$s" cancel "$r" 10000 >/dev/null 2>&1
      asked="$asked$r "
    done
    sleep 1
  done
  ln -s . "$d/guard/over" 2>/dev/null; rm -rf "$d/guard/arm" "$d/guard/end.d" # its guard has done its work, and none comes back
  ! ward "$d" || kill -s KILL "$pid" 2>/dev/null
  i=0; while [ $i -lt 40 ] && strays "$d" TERM; do nap; i=$((i + 1)); done
  i=0; while [ $i -lt 40 ] && strays "$d" KILL; do nap; i=$((i + 1)); done
  text=$(readlink "$root/ending.$1"); of drop "$text"
  [ "$value" != 1 ] || drop "$1"
  now; ln -s "up=$now at=$(date +%s) boot=$boot why=${text#*why=}" "$root/free.$1" 2>/dev/null
  rm -f "$root/ender.$1".*
  rm -rf "$root/gone.$1"
}
drop() { # N: its files out of the way, and nothing can come in their place
  rm -rf "$root/gone.$1"; i=0
  until [ -L "$root/$1" ] || [ $i = 20 ]; do
    [ ! -d "$root/$1" ] || mv "$root/$1" "$root/gone.$1"
    ln -s ended "$root/$1"; i=$((i + 1))
  done 2>/dev/null
}
v_tidy() { # what ended a week ago, and what a crash left half removed
  for f in $(find "$root" -maxdepth 1 -type l -name 'free.*' -mtime +6 2>/dev/null); do
    f=${f##*.}; case $f in '' | *[!0-9]*) continue ;; esac
    [ -L "$root/$f" ] || [ ! -d "$root/$f" ] || drop "$f"
  done
  rm -rf "$root"/gone.*
}

# --- the verbs ---
v_probe() {
  hello; own_disk
  mem=0; { while read -r k v _; do [ "$k" != MemTotal: ] || mem=$((v / 1024)); done <"$proc/meminfo"; } 2>/dev/null ||
    mem=$(($(sysctl -n hw.memsize 2>/dev/null || echo 0) / 1048576))
  disk=$(df -Pk "$root" 2>/dev/null | { read -r _; read -r _ _ _ v _; echo "${v:-0}"; })
  say shape cores="$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 0)" mem="$mem" disk="$((disk / 1024))" text="$(uname -sm)"
  if command -v nvidia-smi >/dev/null 2>&1; then
    limit=; ! command -v timeout >/dev/null 2>&1 || limit='timeout 10'
    $limit nvidia-smi --query-gpu=name,memory.total --format=csv,noheader,nounits 2>/dev/null </dev/null |
      while IFS= read -r k; do say gpu text="$k"; done
  fi
  tend
  ! held || show "$n"
  say end
}
v_claim() { # LABEL TOKEN LIFE KEEP GPU USER
  number "$3"; number "$4"
  if [ "$6" != - ]; then
    [ "$(id -u)" = 0 ] || bye refused code=77 text='only root can run jobs as another user, and the login user is not root'
    id -u "$6" >/dev/null 2>&1 || bye refused code=77 text="there is no user $6 to run jobs as"
  fi
  hello; own_disk
  while :; do
    top "$root/claim."; last=$n
    # The numbers have no gaps, and those up to $last are all there: who is not among them has no claim yet.
    row=$(LC_ALL=C ls -l "$root" | grep -F " tok=$2 ") && row=${row##* claim.} && n=${row%% *} && break
    if [ "$last" != 0 ] && [ ! -L "$root/free.$last" ]; then
      tend; show "$last"; bye held n="$last"
    fi
    n=$((last + 1))
    ln -s "v=1 boot=$boot up=$now at=$wall life=$3 keep=$4 tok=$2 gpu=$5 label=$1" "$root/claim.$n" 2>/dev/null && break
    [ -L "$root/claim.$n" ] || bye refused code=74 text="cannot write below $root"
  done
  if [ ! -L "$root/ending.$n" ] && [ ! -L "$root/free.$n" ]; then # also when it was cut off here before
    [ "$6" = - ] || chmod 711 "$root" # that user must be able to pass through
    g=$root/$n/guard
    [ -f "$g/end.d/50-free" ] || { mkdir -p "$g/end.d" &&
      printf 'sh %s over %s %s "$1"\n' "$(quote "$0")" "$(quote "$root")" "$n" >"$g/step.$$" && mv -f "$g/step.$$" "$g/end.d/50-free"; } 2>/dev/null
  fi
  detach sh "$0" tidy "$root"
  show "$n"; say end
}
v_look() { # [N]
  [ $# = 0 ] || number "$1"
  hello; tend
  if [ $# = 1 ]; then show "$1"; say end; return; fi
  set --
  for f in "$root"/[1-9]*/; do f=${f%/}; f=${f##*/}; case $f in *[!0-9]*) ;; *) set -- "$@" "$f" ;; esac; done
  top "$root/claim."; last=$n
  [ "$last" = 0 ] || show "$last"
  [ $# -le 16 ] || set -- $(printf '%s\n' "$@" | sort -rn | head -n 16)
  for f; do [ "$f" = "$last" ] || show "$f"; done
  say end
}
v_release() { # N
  number "$1"; hello
  case $(readlink "$root/claim.$1") in
    '') bye none n="$1" ;;
    'v=1 '*) ;;
    *) bye refused code=65 text="claim.$1 was made by hand; remove the hold by hand: ln -s free $root/free.$1" ;;
  esac
  if [ ! -L "$root/free.$1" ]; then
    ask_end "$1" 1 terminated
    ender "$1" || detach sh "$0" end "$root" "$1"
    i=0; until [ -L "$root/free.$1" ] || [ $i -ge 10 ]; do nap; i=$((i + 1)); done
  elif [ -d "$root/$1" ] && [ ! -L "$root/$1" ]; then
    drop "$1"; detach sh "$0" tidy "$root"
  fi
  show "$1"; say end
}
v_over() { # N WHY: the end step of the claim's guard
  number "$1"; hello
  ask_end "$1" 0 "$(why "$2")"
  ender "$1" || detach sh "$0" end "$root" "$1"
  until [ -L "$root/free.$1" ]; do sleep 1; done
  say end
}
[ $# -ge 2 ] || exit 64
shift 2
case $verb in
  probe | claim | look | release | over) printf '\n' ;;
  end | tidy) ;;
  *) printf '\n'; bye refused code=64 text='no such verb' ;;
esac
"v_$verb" "$@"
