# --- the supervisor: while the job runs, and how it is ended ---
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
  leased; until=$n
  now; c=$(readlink "$o/e") && drain "$c" $grace
  while :; do
    now
    if [ -n "$gate" ] && [ ! -p "$ctl/go" ]; then gate=; exec 4>&-; fi
    if ! alive "$job"; then
      group "$job" || break
      kill_at=${kill_at:-$((now + grace))} # the leader has returned: what it left behind gets the grace
    fi
    top "$o/l."; [ $n -le "$until" ] || { until=$n; prune $n; }
    if asked; then
      [ -n "$cause" ] || drain cancel $g
      [ $kill_at -le $((now + g)) ] || kill_at=$((now + g))
    elif [ -z "$cause" ] && [ $limit -gt 0 ] && [ $((now - sp_t0)) -ge $limit ]; then drain lifetime $grace
    elif [ -z "$cause" ] && [ "$until" -gt 0 ] && [ "$now" -ge "$until" ]; then drain lease $grace
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
  now; last=$((now + 200)); [ -z "$cause" ] || last=$kill_at
  while p=$(echo "RUNCTL_MARK=$sp_rid" | grep -zlFf - "$proc"/[0-9]*/environ 2>/dev/null); [ -n "$p" ]; do
    set -- $p; now
    [ $stragglers -ge $# ] || stragglers=$#
    for f; do
      f=${f#"$proc/"}; f=${f%/environ}
      if [ "$now" -ge $last ]; then kill -s KILL "$f"; elif [ -z "$termed" ]; then kill -s TERM "$f"; fi
    done 2>/dev/null
    termed=1
    [ "$now" -lt $((last + 1000)) ] || break
    nap
  done
}
