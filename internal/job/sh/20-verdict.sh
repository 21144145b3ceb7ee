# --- what a reader may conclude ---
receipt() { # the receipt's line into line
  for f in "$ctl/exit" "$ctl/exit.slot" "$root/rescue/$run"; do # the slot: where a rename was lost
    [ -f "$f" ] && [ ! -L "$f" ] && IFS= read -r line <"$f" && body=${line%% sum=*} &&
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
settle() { # a verdict that has a supervisor made for an orphan, and the receipt where only the held status is left
  verdict
  [ $phase != lost ] || [ ! -f "$ctl/in" ] || rm -f "$ctl/in" # nobody will ever read it
  [ $phase != 'done' ] || [ -L "$o/f" ] || detach sh "$0" sup "$run" # died between receipt and f: the keeper is still there
  [ $phase != orphaned ] || detach sh "$0" sup "$run" # until it has a supervisor it has no limit
  [ $phase = held ] || return
  detach sh "$0" sup "$run"
  now; last=$((now + 500))
  until receipt || [ "$now" -ge $last ]; do nap; now; done
  verdict; [ $phase = held ] && phase=unknown ev='the job has ended, but its receipt cannot be written'
}
size() { set -- $(ls -lnd "$d/out" 2>/dev/null); size=${5:--1}; }
show() { # the status; no receipt line unless done
  settle; size; leased; lease=0
  [ $n = 0 ] || lease=$(readlink "$o/l.$n")
  now; say status run="$run" phase=$phase up="$now" log="$size" lease="${lease:-0}" text="$ev"
  [ $phase != 'done' ] || say receipt "$line"
}

