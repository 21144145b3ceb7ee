# The supervisor of one machine, protocol 1: protocol.go says what each verb takes and answers.
# POSIX sh and base tools only; tried under dash, bash and busybox ash. Below $root:
#   own/RUN/   what must survive, each a symlink, made once and atomically with its content, needing no disk block:
#              d digest · 1 2 3.. supervisor generations · j job · h hello · z zombie mode · w code by wait
#              · x why exec failed · c.GRACE cancels · e cause of the drain · f finished · r.PID replies to start
#   run/RUN/   ctl/{spec,in,go,exit.slot,exit} (0700) · out · job/{work,outputs,checkpoints}
#   lock.N     who has the machine: the highest N without free.N whose run goes on; nothing is ever removed
# A process is boot:pid:start, so that a reused pid is never taken for the old one.
# Times are hundredths of a second of uptime; wall-clock seconds are text in the receipt and decide nothing.
mask=${RUNCTL_UMASK:-$(umask)} root=${RUNCTL_ROOT:-$HOME/.runctl} proc=${RUNCTL_PROC:-/proc}
umask 077
naps=0 mem= gate= held= keeper= nl='
'
say() { printf 'RUNCTL1 %s\n' "$*"; }
bye() { say "$@"; say end; exit 0; }
number() { case $1 in '' | *[!0-9]* | ????????????????*) bye refused code=64 text='not a number' ;; esac; }
paths() { run=$1 o=$root/own/$1 d=$root/run/$1 mem=; ctl=$d/ctl; }
nap() { # short at first, for whoever waits for something that takes milliseconds
  naps=$((naps + 1))
  if [ $naps -lt 20 ]; then sleep 0.02; elif [ $naps -lt 120 ]; then sleep 0.1; else sleep 0.4; fi 2>/dev/null || sleep 1
}

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

# --- what a reader may conclude ---
receipt() { # the receipt's line into line
  for f in "$ctl/exit" "$root/rescue/$run"; do
    [ -f "$f" ] && IFS= read -r line <"$f" && body=${line%% sum=*} &&
      [ "$line" = "$body sum=${#body} ." ] && case $body in "v=1 run=$run "*) return 0 ;; esac
  done 2>/dev/null
  return 1
}
verdict() { # phase and ev(idence). The order of looks matters: supervisor, receipt, job
  phase=none ev='never started' line=
  [ -L "$o/d" ] || return
  top "$o/"; gen=$n sup=$(readlink "$o/$n")
  alive "$sup"; living=$?
  job=$(readlink "$o/j")
  if receipt; then
    if alive "$job"; then phase=unknown ev='there is a receipt, but the job is alive'; return; fi
    # while the supervisor lives, a receipt is its own only once it says so
    if [ $living != 0 ] || [ -L "$o/f" ]; then phase='done' ev='receipt'; return; fi
  fi
  if [ $living = 0 ]; then phase=running ev="supervisor ${sup#*:} alive"; return; fi
  [ -n "$job" ] || return
  alive "$job"; left=$?
  if [ $left = 0 ] || group "$job"; then phase=orphaned ev='supervisor dead, job alive'
  elif [ $left = 2 ] || [ -L "$o/w" ]; then phase=held ev='supervisor dead, exit status held'
  else
    i=0; until [ -L "$o/z" ] || [ -L "$o/w" ] || [ $i = 9 ]; do nap; i=$((i + 1)); done # a keeper may be about to say w
    top "$o/"; if receipt || [ -L "$o/w" ] || [ "$n" != "$gen" ]; then verdict; return; fi # so it changed between two looks
    phase=lost ev='supervisor and job gone without a receipt'
    [ "${job%%:*}" = "$boot" ] || ev='the machine was started again since'
  fi
}
settle() { # a verdict that has the receipt written where only the held status is left
  verdict
  [ $phase != 'done' ] || [ -L "$o/f" ] || detach sh "$0" sup "$run" # died between receipt and f: the keeper is still there
  [ $phase = held ] || return
  detach sh "$0" sup "$run"
  now; last=$((now + 500))
  until receipt || [ "$now" -ge $last ]; do nap; now; done
  verdict; [ $phase = held ] && phase=unknown ev='the job has ended, but its receipt cannot be written'
}
size() { set -- $(ls -lnd "$d/out" 2>/dev/null); size=${5:--1}; }
show() { # the status; no receipt line unless done
  settle; size; now
  say status run="$run" phase=$phase up="$now" log="$size" text="$ev"
  [ $phase != 'done' ] || say receipt "$line"
}

# --- the job's own process: waits at the gate, then becomes the job ---
places() { # directories of the sourced spec
  case $sp_dir in /*) dir=$sp_dir ;; *) dir=$d/job/work/$sp_dir ;; esac
  ckpt=${sp_ckpt:-$d/job/checkpoints} outputs=${sp_outputs:-$d/job/outputs}
}
try() { [ ! -f "$1" ] || [ ! -x "$1" ] || exit 0; [ ! -e "$1" ] || found=126; }
runnable() ( # NAME...: 0, 126 or 127; only by this look can a missing command be told from a job's exit 127
  found=127
  case $1 in */*) try "$1" ;; *) set -f; IFS=:; for f in $PATH; do try "${f:-.}/$1"; done ;; esac
  exit $found
)
stage() {
  look $$ && ln -s "$boot:$$:$born" "$o/j" 2>/dev/null || exit 75 # exactly once for a run
  . "$ctl/spec"; places
  cd "$dir" || exit 126
  read -r x <"$ctl/go"; rm -f "$ctl/go"
  . "$ctl/in"; rm -f "$ctl/in"
  RUNCTL_RUN_ID=$run RUNCTL_ATTEMPT=$sp_attempt RUNCTL_CHECKPOINT_DIR=$ckpt RUNCTL_OUTPUT_DIR=$outputs
  export RUNCTL_RUN_ID RUNCTL_ATTEMPT RUNCTL_CHECKPOINT_DIR RUNCTL_OUTPUT_DIR
  unset RUNCTL_ROOT RUNCTL_PROC RUNCTL_UMASK RUNCTL_RESUME
  [ -z "$sp_resume" ] || { RUNCTL_RESUME=$sp_resume; export RUNCTL_RESUME; }
  umask "$mask"
  (sp_env; sp_exec runnable)
  case $? in
    127) ln -s notfound "$o/x"; exit 127 ;; # the log is the job's alone: the receipt says it
    126) ln -s notexec "$o/x"; exit 126 ;;
  esac
  sp_env; sp_exec exec # nothing may stand between: the job's variables may have the names of ours
}

# --- the supervisor ---
answer() { [ -z "$reply" ] || ln -s "$*" "$o/r.$reply"; }
refuse() { rm -f "$ctl/in" "$in"; free; answer refused code="$1" text="$2"; exit; }
claim() { # become the next generation of this run's supervisor; 1: another lives, 2: no room
  while :; do
    top "$o/"; [ "$n" = 0 ] || ! alive "$(readlink "$o/$n")" || return 1
    ln -s "$me" "$o/$((n + 1))" 2>/dev/null && return
    [ -L "$o/$((n + 1))" ] || return 2
  done
}
lock() { # the machine for this run; 1: run $h has it, 2: no room
  while :; do
    top "$root/lock."
    if [ "$n" != 0 ] && [ ! -L "$root/free.$n" ]; then
      h=$(readlink "$root/lock.$n"); h=${h##*:}
      [ "$h" = "$run" ] || (paths "$h"; verdict; case $phase in running | orphaned | unknown) exit 1 ;; esac) || return 1
    fi
    held=$((n + 1))
    ln -s "$me:$run" "$root/lock.$held" 2>/dev/null && return
    [ -L "$root/lock.$held" ] || { held=; return 2; }
    held=
  done
}
free() { [ -z "$held" ] || ln -s . "$root/free.$held"; held=; }
save() { # FILE: LINE over the start of it, on the disk
  printf '%s\n' "$2" | dd of="$1" bs=4096 conv=notrunc,fsync 2>/dev/null ||
    printf '%s\n' "$2" | dd of="$1" bs=4096 conv=notrunc 2>/dev/null
}
sleeper() { case $comm in sleep | busybox | exe) ;; *) return 1 ;; esac; }
probe() { # does a held zombie show its exit code here? exit 7 must read 1792; gVisor and others show 0
  [ -r "$proc/self/stat" ] && mkfifo "$ctl/probe" || return
  ( (read -r x <"$ctl/probe"; exit 7) & echo $! >"$ctl/go"; exec sleep 5) & k=$!
  read -r p <"$ctl/go"
  i=0; until look $k && sleeper || [ $i -ge 20 ]; do i=$((i + 1)); nap; done # a shell would reap what it sees die
  true >"$ctl/probe"
  i=0; while [ $i -lt 300 ] && look "$p" && alike; do i=$((i + 1)); [ $i -lt 200 ] || nap; done
  [ "$st$raw" != Z1792 ] || ln -s . "$o/z"
  rm -f "$ctl/probe"; kill -s KILL $k; wait $k
}
fresh() {
  mkdir -p "$ctl" "$d/job/work" "$d/job/outputs" "$d/job/checkpoints" && mv "$in" "$ctl/in" || refuse 74 'cannot write the run'
  (. "$ctl/in" && [ "$sp_run d:$sp_digest" = "$run $(readlink "$o/d")" ]) 2>/dev/null || refuse 65 'the spec arrived damaged'
  . "$ctl/in"; places
  case $sp_dir in /*) [ -d "$dir" ] || refuse 66 "no directory $dir" ;; esac
  mkdir -p "$dir" "$ckpt" "$outputs" || refuse 74 "cannot make the job's directories"
  if [ "$sp_shared" != 1 ]; then
    lock; case $? in 1) refuse 75 "run $h has the machine" ;; 2) refuse 74 'cannot write the lock' ;; esac
  fi
  save "$ctl/exit.slot" "$(printf '%4095s' .)" && true >>"$d/out" || refuse 74 'no room for the receipt'
  sp_rid=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  [ ${#sp_rid} -eq 32 ] || refuse 69 'no random bytes'
  now; sp_t0=$now sp_w0=$(date +%s)
  { while IFS= read -r row && [ "$row" != 'sp_env() {' ]; do printf '%s\n' "$row"; done <"$ctl/in"
    echo "sp_t0=$sp_t0 sp_w0=$sp_w0 sp_rid=$sp_rid"; } >"$ctl/spec" || refuse 74 'cannot write the spec'
  rm -f "$ctl/go"; mkfifo "$ctl/go" || refuse 69 'cannot make a fifo'
  probe
  ( # The keeper forks the job, then sleeps: it never waits, so the dead job stays a zombie that holds its status and
    # its pid, whatever becomes of the supervisor.
    setsid=$(command -v setsid) || set -m
    (RUNCTL_MARK=$sp_rid; export RUNCTL_MARK; exec $setsid sh "$0" stage "$run") </dev/null >>"$d/out" 2>&1 &
    [ -L "$o/z" ] && exec sleep 2147483647
    trap : HUP INT TERM
    while wait $!; code=$?; kill -0 $! 2>/dev/null; do :; done # a signal to us ends wait, not the job
    ln -s $code "$o/w"
  ) & keeper=$!
  i=0; until [ -L "$o/j" ]; do nap; i=$((i + 1)); [ $i -lt 200 ] || exit; done
  ln -s . "$o/h"; answer started already=0
}
drain() { # CAUSE GRACE
  cause=$1 kill_at=$((now + $2)) naps=0
  [ $end != self ] || end=term
  ln -s "$1" "$o/e" 2>/dev/null
  signal TERM
}
asked() { # the shortest grace of all cancels into g
  g=
  for f in "$o"/c.*; do
    f=${f##*.}; [ "$f" != spec ] || f=$sp_grace
    case $f in '' | *[!0-9]*) continue ;; esac
    [ -n "$g" ] && [ "$g" -le $((f / 10)) ] || g=$((f / 10))
  done
  [ -n "$g" ]
}
watch() { # until the job's process group is empty
  cause= kill_at= end=self grace=$((sp_grace / 10)) limit=$(((sp_limit + 9) / 10))
  pid=${job#*:}; pid=${pid%%:*}
  if [ -p "$ctl/go" ] && command exec 4<>"$ctl/go"; then gate=1; echo go >&4; fi
  now; c=$(readlink "$o/e") && drain "$c" $grace
  while :; do
    now
    if [ -n "$gate" ] && [ ! -p "$ctl/go" ]; then gate=; exec 4>&-; fi
    if ! alive "$job"; then
      group "$job" || break
      kill_at=${kill_at:-$((now + grace))} # the leader has returned: what it left behind gets the grace
    fi
    if asked; then
      [ -n "$cause" ] || drain cancel $g
      [ $kill_at -le $((now + g)) ] || kill_at=$((now + g))
    elif [ -z "$cause" ] && [ $limit -gt 0 ] && [ $((now - sp_t0)) -ge $limit ]; then drain lifetime $grace
    fi
    if [ -n "$kill_at" ] && [ "$now" -ge $kill_at ]; then
      end=kill; signal KILL
      [ "$now" -lt $((kill_at + 1000)) ] || break # not even KILL ends what hangs in the kernel
    fi
    nap
  done
}
sweep() { # whoever left the group carries the secret mark in its environment
  stragglers=0 termed=
  [ ${#sp_rid} -eq 32 ] && [ -r "$proc/self/environ" ] || return 0 # an empty mark would match everybody
  now; until=$((now + 200)); [ -z "$cause" ] || until=$kill_at
  while p=$(echo "RUNCTL_MARK=$sp_rid" | grep -zlFf - "$proc"/[0-9]*/environ 2>/dev/null); [ -n "$p" ]; do
    set -- $p; now
    [ $stragglers -ge $# ] || stragglers=$#
    for f; do
      f=${f#"$proc/"}; f=${f%/environ}
      if [ "$now" -ge $until ]; then kill -s KILL "$f"; elif [ -z "$termed" ]; then kill -s TERM "$f"; fi
    done 2>/dev/null
    termed=1
    [ "$now" -lt $((until + 1000)) ] || break
    nap
  done
}
ids() { ids= caps=; while read -r k v; do case $k in Uid: | Gid:) ids="$ids $v" ;; CapEff:) caps=$v ;; esac; done <"$proc/$1/status"; }
result() { # code and sig; 1: nobody knows them any more
  sig=
  if [ ! -L "$o/z" ]; then
    i=0; until [ -L "$o/w" ]; do nap; i=$((i + 1)); [ $i -lt 50 ] || return 1; done
    code=$(readlink "$o/w"); [ "$code" -le 128 ] || [ "$code" -gt 192 ] || sig='?'
    return 0
  fi
  alive "$job"; [ $? = 2 ] || return 1
  # The kernel shows 0 to whoever may not trace the process: believe it only of our own ids, or with that right.
  ids $$; c=$caps i=$ids; ids "$pid"
  case $c in *[89a-f]????) i=$ids ;; esac
  if [ "$i" != "$ids" ] || [ -z "$raw" ]; then code=255 sig='?'; return 0; fi
  code=$((raw >> 8 & 255)) sig=$((raw & 127))
  if [ $sig = 0 ]; then sig=; else code=$((128 + sig)); sig=$(kill -l $sig) || sig='?'; fi
}
latest() { # the validated content of the job's file latest, or nothing; never followed through a link or a fifo
  c=; [ -f "$ckpt/latest" ] && [ ! -L "$ckpt/latest" ] || return 0
  c=$(dd if="$ckpt/latest" bs=258 count=1 2>/dev/null | tr '\000' '!'; echo .); c=${c%.}; c=${c%"$nl"}
  case /$c/ in // | //* | */../* | *[!A-Za-z0-9._/-]*) c= ;; esac
  [ ${#c} -le 256 ] || c=
}
let_go() { # end the keeper, and with it the held status
  ln -s . "$o/f"
  alive "$job"; if [ $? = 2 ]; then p=$pp; look "$p" && sleeper && kill -s KILL "$p"; fi
  [ -z "$keeper" ] || kill -s KILL "$keeper"
} 2>/dev/null
finish() {
  [ -d "$o" ] || { let_go; exit; } # the root was removed: nobody can ever ask
  result || exit
  case $cause in '') cause=exit; [ -z "$sig" ] || cause=signal
    [ "$code" != 127 ] && [ "$code" != 126 ] || cause=$(readlink "$o/x") || cause=exit ;; esac
  latest; size
  want="v=1 run=$run code=$code sig=$sig cause=$cause t0=$sp_w0 t1=$(date +%s) out=$size stragglers=$stragglers ckpt=$c end=$end"
  want="$want sum=${#want} ."
  i=0
  while :; do # what is read back counts, not what mv said; where ctl is gone or a directory stands in the way: rescue
    save "$ctl/exit.slot" "$want" && mv -f "$ctl/exit.slot" "$ctl/exit"
    receipt && [ "$line" = "$want" ] && break
    mkdir -p "$root/rescue" && save "$root/rescue/$run.tmp" "$want" && mv -f "$root/rescue/$run.tmp" "$root/rescue/$run"
    IFS= read -r line <"$root/rescue/$run" && [ "$line" = "$want" ] && break
    i=$((i + 1)); [ $i -lt 20 ] || exit # the keeper goes on holding the status for a later look
    nap
  done 2>/dev/null
  let_go
  free
}
sup() { # [REPLY]: supervise the run; what start waits for goes to r.REPLY
  trap : HUP INT TERM # not '': the job would inherit that
  cd /
  reply=$1 in=$o/in.$1
  look $$; me=$boot:$$:$born
  verdict; case $phase in 'done' | lost) rm -f "$in"; answer started already=1; [ -L "$o/f" ] || let_go; exit ;; esac
  while claim; c=$?; [ $c != 0 ]; do
    [ $c = 1 ] || refuse 74 'cannot write the claim'
    [ -n "$reply" ] || exit
    if [ -L "$o/h" ]; then rm -f "$in"; answer started already=1; exit; fi
    nap
  done
  if [ -L "$o/j" ]; then # adopt: an earlier supervisor got as far as the job
    rm -f "$in"; answer started already=1
    if receipt; then let_go; exit; fi
    sp_dir= sp_ckpt= sp_outputs= sp_grace=30000 sp_limit=0 sp_t0=0 sp_w0=0 sp_rid=
    [ ! -f "$ctl/spec" ] || . "$ctl/spec"
    places
  else
    [ -n "$reply" ] || exit
    fresh
  fi
  job=$(readlink "$o/j")
  naps=0; watch; sweep; finish
}

# --- verbs ---
verb=$1; [ $# -eq 0 ] || shift
case $verb in
  sup | stage) paths "$1"; shift; $verb "$@"; exit ;;
esac
RUNCTL_UMASK=$mask; export RUNCTL_UMASK
printf '\n'
case $verb in
  list)
    for f in "$root"/own/*/d; do
      f=${f%/d}; paths "${f##*/}"
      [ -L "$o/j" ] && show
    done
    say end; exit 0 ;;
esac
case $1 in '' | *[!a-z0-9-]*) bye refused code=64 text='no run id' ;; esac
paths "$1"
case $verb in
  start) # RUN DIGEST BYTES
    number "$3"; in=$o/in.$$
    mkdir -p "$o" && cat >"$in" || { rm -f "$in"; bye refused code=74 text='cannot write the spec'; }
    [ $(($(wc -c <"$in"))) -eq "$3" ] || { rm -f "$in"; bye refused code=65 text='the spec arrived cut'; }
    ln -s "d:$2" "$o/d" 2>/dev/null
    [ "$(readlink "$o/d")" = "d:$2" ] || { rm -f "$in"; [ ! -L "$o/d" ] || bye used run="$run"; bye refused code=74 text='cannot claim the run'; }
    rm -f "$o/r.$$"; detach sh "$0" sup "$run" $$
    now; last=$((now + 1500))
    until [ -L "$o/r.$$" ]; do now; [ "$now" -lt $last ] || bye unsure text='the supervisor did not answer'; nap; done
    c=$(readlink "$o/r.$$"); rm -f "$o/r.$$"
    case $c in refused*) # who refused is on its way out: a status that follows must not take it for a running one
      top "$o/"; now; last=$((now + 100)); while alive "$(readlink "$o/$n")" && now && [ "$now" -lt $last ]; do nap; done ;;
    esac
    bye "$c" ;;
  status) show; say end ;;
  wait) # RUN SECONDS
    number "$2"; now; last=$((now + $2 * 100))
    while verdict; now; [ "$now" -lt $last ]; do
      case $phase in running | orphaned | unknown) nap ;; *) break ;; esac
      # while its supervisor lives and there is no receipt nothing can have changed, and a look costs no fork
      while [ $phase = running ] && ! receipt && alive "$sup" && now && [ "$now" -lt $last ]; do nap; done
    done
    show; say end ;;
  log) # RUN OFFSET MODE
    number "$2"; case $3 in once | follow) ;; *) bye refused code=64 text='once or follow' ;; esac
    [ -L "$o/j" ] && [ -f "$d/out" ] && [ ! -L "$d/out" ] && exec 3<"$d/out" || bye norun run="$run"
    off=$2 live=1 phase=
    [ "$off" = 0 ] || dd bs=1 skip="$off" count=0 <&3 2>/dev/null
    now; last=$((now + 500))
    while :; do # whether it lives is asked before how long the log is: what came between is then still told
      if [ "$phase" != running ] || receipt || ! alive "$sup"; then
        settle; case $phase in running | orphaned | unknown) ;; *) live=0 ;; esac
      fi
      size
      [ "$size" -ge "$off" ] || { [ "$size" -ge 0 ] || size=0; bye gap from="$size" to="$off"; }
      while [ "$off" -lt "$size" ]; do
        n=$((size - off)); [ $n -le 262144 ] || n=262144
        say data from="$off" n=$n || exit
        dd bs=$n count=1 <&3 2>/dev/null && printf '\nRUNCTL1 .\n' || exit
        off=$((off + n)) naps=0
      done
      [ $live = 1 ] && [ "$3" = follow ] || bye log next="$off" live=$live
      now; if [ "$now" -ge $last ]; then say tick || exit; last=$((now + 500)); fi
      nap
    done ;;
  cancel) # RUN GRACE
    [ "$2" = spec ] || number "$2"
    verdict
    case $phase in none) bye norun run="$run" ;; 'done' | lost | held) bye cancelled ;; esac
    ln -s . "$o/c.$2" 2>/dev/null
    alive "$sup" || detach sh "$0" sup "$run"
    now; last=$((now + 1000))
    until [ -L "$o/e" ]; do
      verdict; case $phase in 'done' | lost | held) break ;; esac
      now; [ "$now" -lt $last ] || bye unsure text='the supervisor did not answer'
      nap
    done
    bye cancelled ;;
  get) # RUN PATH
    [ -L "$o/j" ] || bye norun run="$run"
    sp_dir= sp_ckpt= sp_outputs=
    [ ! -f "$ctl/spec" ] || . "$ctl/spec"
    places
    for f in "$dir" "$outputs"; do
      [ "$2" != . ] || f=$outputs # all that was put out, never the whole directory of a job in place
      [ -e "$f/$2" ] || [ -L "$f/$2" ] || continue
      c=$(cd "$f" && pwd -P); case $2 in */*) p=$(cd "$f/${2%/*}" && pwd -P) ;; *) p=$c ;; esac
      case $p/ in "${c%/}"/*) ;; *) bye refused code=76 text='the path leads out of the run' ;; esac
      cd "$f" || exit 1
      say tar; COPYFILE_DISABLE=1 exec tar -cf - "./$2" </dev/null
    done
    bye refused code=76 text='no such file or directory' ;;
  *) bye refused code=64 text='no such verb' ;;
esac
