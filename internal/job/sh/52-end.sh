# --- the machine's end: never forked, only exec'ed, and it never returns while there are steps ---
give() { # SECONDS COMMAND...: its code, 124 when the time was over and it was killed
  now; naps=0 until=$((now + $1 * 100)); shift
  "$@" </dev/null >/dev/null 2>&1 &
  p=$!
  while look $p && alike; do
    now; [ "$now" -lt $until ] || { kill -s KILL $p; return 124; }
    nap
  done
  wait $p
}
wind_up() { # every run ends by its own supervisor, with the machine's grace or its own shorter one
  gone= seen= seen_sup=; census
  now; last=$((now + grace + 3000))
  while [ -n "$active" ] && [ "$now" -lt $last ]; do
    for f in $active; do ln -s . "$root/own/$f/m.$((grace * 10))"; done 2>/dev/null
    naps=20; nap; census; now
  done
  give 10 sync
}
end() { # CAUSE GRACE STEP [BARE]: step 0 winds up, the others are those of end.d, round and round
  trap : HUP INT QUIT TERM
  cause=$1 grace=$2 step=$3 bare=$4 wait=${RUNCTL_END_WAIT:-60}
  # where forks fail the shell exits, and goes on bare: it reads the step in, and a step of builtins works
  trap 'exec sh "$0" end $cause $grace $step bare' EXIT
  if [ "$step" = 0 ]; then
    [ -n "$bare" ] || { ln -s "$cause" "$guard/ending" 2>/dev/null; wind_up; }
    step=1
  fi
  while [ -d "$guard" ]; do
    set -- "$guard"/end.d/[0-9]*
    [ -f "$1" ] || break
    if [ "$step" -gt $# ]; then step=1; [ -n "$bare" ] || give "$wait" sleep "$wait"; continue; fi
    shift $((step - 1))
    if [ -n "$bare" ]; then
      trap 'exec sh "$0" end $cause $grace $((step + 1))' EXIT
      f=$1; set -- "$cause"; . "$f"
      now; until=$((now + 100)); while now; [ "$now" -lt $until ]; do :; done
      exit
    fi
    give "$wait" sh "$1" "$cause"
    case $? in 0) while now; [ "$now" -lt $until ]; do nap; done ;; esac # it said that it works: let it
    step=$((step + 1))
  done
  ln -s . "$guard/over"
  trap - EXIT
} 2>/dev/null
