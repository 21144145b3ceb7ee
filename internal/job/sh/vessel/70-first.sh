# --- a container's first process: it never returns, because the host starts again whatever does. ve_... come from
# vessel.go, end_ask and end_now from whoever knows the place: may it end itself, and let it ---
word() { printf 'RUNCTL_%s v=1 nonce=%s boot=%s %s\n' "$1" "$nonce" "$birth" "$2"; } # a line of ours: see vessel_line.go
born() { # [STATE...]: everything that must outlive this shell, which may have to begin again in its own place
  nonce=$RUNCTL_NONCE
  unset RUNCTL_NONCE RUNCTL_RUN # the job never gets it
  RUNCTL_UMASK=$mask; export RUNCTL_UMASK
  termed= naps=0 next_try=0 pause=1000
  trap : HUP INT QUIT
  trap 'termed=1' TERM
  trap again EXIT
  { echo -1000 >"$proc/self/oom_score_adj"; } 2>/dev/null # the job takes it back
  if [ $# = 0 ]; then
    birth=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
    now; t0=$now at=$(date +%s) role=run why= off=0 sent=0 ends=asked told=
    lasts=$(((ve_end_by - at) * 100)) # by this clock: a container that starts again has no new lifetime
    [ $lasts -lt "$ve_life" ] || lasts=$ve_life
    [ $lasts -gt 0 ] || lasts=0
    stop_at=$((t0 + left + ve_grace + 3000))
    rm -f "$root/ends"
    (c=no; end_ask && c=ok; echo $c >"$root/ends.new"; mv "$root/ends.new" "$root/ends") </dev/null >/dev/null 2>&1 &
  else
    birth=$1 t0=$2 at=$3 role=$4 off=$5 sent=$6 ends=$7 lasts=$8 stop_at=$9 why= told=
    now; until=$((now + 100)); while now; [ "$now" -lt $until ]; do :; done
  fi
  spoke=$t0 heard=$t0
}
again() { # a shell that cannot fork exits: it begins again in its own place, which needs no fork
  RUNCTL_NONCE=$nonce; export RUNCTL_NONCE
  [ ! -f "$0" ] || exec sh "$0" "$verb" "$birth" "$t0" "$at" "$role" "$off" "$sent" "$ends" "$lasts" "$stop_at"
  while :; do read -r x <"$root/hold" || wait; done # nothing is left to begin with; nobody writes there
} 2>/dev/null
tell() { # the start line: first, each minute, and when there is news
  [ "$ends" != asked ] || [ ! -f "$root/ends" ] || read -r ends <"$root/ends"
  now
  [ "$told" != "$role$ends$why" ] || [ $((now - spoke)) -ge 6000 ] || return
  told=$role$ends$why spoke=$now
  word START "run=$ve_run at=$at job=$role selfend=$ends keeps=${ve_durable:+ok} text=$why"
}
leave() { # the time is over: ask for the end until it comes, and stay meanwhile
  now
  [ "$now" -ge "$stop_at" ] && [ "$now" -ge "$next_try" ] || return
  (end_now) </dev/null >/dev/null 2>&1 &
  next_try=$((now + pause))
  [ $pause -ge 60000 ] || pause=$((pause * 2))
}
