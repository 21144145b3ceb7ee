# --- the supervisor: while the job runs, and how it is ended ---
drain() { # CAUSE GRACE SINCE: the one way in which we end a run, whatever the cause
  cause=$1 kill_at=$(($3 + $2)) naps=0
  [ $end != self ] || end=term
  ln -s "$1:$3" "$o/e" 2>/dev/null
  signal TERM
  # @crash after-term
}
asked() { # the shortest grace of all cancels into g, and why
  g=
  for f in "$o"/c.* "$o"/m.* "$o"/p.*; do
    c=cancel; case $f in */m.*) c=lifetime ;; */p.*) c=preempted ;; esac
    f=${f##*.}; [ "$f" != spec ] || f=$sp_grace
    case $f in '' | *[!0-9]*) continue ;; esac
    [ $c = cancel ] || [ "$f" -le "$sp_grace" ] || f=$sp_grace
    [ -n "$g" ] && [ "$g" -le $((f / 10)) ] || g=$((f / 10)) why=$c
  done
  [ -n "$g" ]
}
watch() { # until the job's process group is empty
  cell=$(readlink "$o/k") # now: a job may remove what says so
  cause= kill_at= end=self grace=$((sp_grace / 10)) limit=$(((sp_limit + 9) / 10))
  pid=${job#*:}; pid=${pid%%:*}
  if [ -p "$ctl/go" ] && command exec 4<>"$ctl/go"; then gate=1; echo go >&4; fi
  leased; until=$n looks=0
  now; c=$(readlink "$o/e") && drain "${c%:*}" $grace "${c#*:}" # begun by an earlier supervisor
  [ ! -L "$o/K" ] || end=kill
  while :; do
    now
    if [ -n "$gate" ] && [ ! -p "$ctl/go" ]; then gate=; exec 4>&-; fi
    if ! alive "$job"; then
      group "$job" || break
      kill_at=${kill_at:-$((now + grace))} # the leader has returned: what it left behind gets the grace
    fi
    top "$o/l."; [ $n -le "$until" ] || { until=$n; prune $n; }
    if asked; then
      [ -n "$cause" ] || drain $why $g "$now"
      [ $kill_at -le $((now + g)) ] || kill_at=$((now + g))
    elif [ -z "$cause" ] && [ $limit -gt 0 ] && [ $((now - sp_t0)) -ge $limit ]; then drain lifetime $grace "$now"
    elif [ -z "$cause" ] && [ "$until" -gt 0 ] && [ "$now" -ge "$until" ]; then drain lease $grace "$now"
    fi
    if [ -n "$kill_at" ] && [ "$now" -ge $kill_at ]; then
      [ $end = kill ] || ln -s . "$o/K" 2>/dev/null
      end=kill; signal KILL
      # @crash after-kill
      [ "$now" -lt $((kill_at + 1000)) ] || break # not even KILL ends what hangs in the kernel
    fi
    looks=$((looks + 1)); [ $((looks % 10)) != 0 ] || wake # the guard watches us, and we the guard
    nap
  done
}
strays() { # who left the group is in its cgroup, or carries the secret mark in its environment
  { inmates
    # an empty mark would match everybody
    [ ${#sp_rid} -ne 32 ] || echo "RUNCTL_MARK=$sp_rid" | grep -zlFf - "$proc"/[0-9]*/environ | sed 's|/environ$||; s|.*/||'
  } 2>/dev/null | sort -u
}
sweep() {
  stragglers=0 termed=
  [ -r "$proc/self/environ" ] || return 0
  now; last=$((now + 200)); [ -z "$cause" ] || last=$kill_at
  while p=$(strays); [ -n "$p" ]; do
    set -- $p; now
    [ $stragglers -ge $# ] || stragglers=$#
    for f; do
      if [ "$now" -ge $last ]; then kill -s KILL "$f"; elif [ -z "$termed" ]; then kill -s TERM "$f"; fi
    done 2>/dev/null
    termed=1
    [ "$now" -lt $((last + 1000)) ] || break
    nap
  done
  raze
  # @crash after-sweep
}
