# --- the guard: one process of the machine, which ends it when nobody else does. Below $root/guard/: ---
#   arm -> LIFETIME:KEEP:GRACE:USER, in ms · 1 2 3.. generations · b.N -> BOOT:T0:SPENT what boot N began with
#   s.SPENT uptime so far · met.BOOT a controller said hello in it · ending -> CAUSE · over · end.d/NN-NAME · user
warded() { [ -L "$guard/over" ] || { top "$guard/"; alive "$(readlink "$guard/$n")"; }; }
wake() { [ ! -L "$guard/arm" ] || warded || detach sh "$0" ward; }
awake() { # within 5 s
  wake; now; last=$((now + 500)) naps=0
  until warded && reckon look; do now; [ "$now" -lt $last ] || return; nap; done
}
terms() { # what it was armed with, in hundredths
  x=$(readlink "$guard/arm") || return
  life=$(((${x%%:*} + 9) / 10)) x=${x#*:}; keep=$(((${x%%:*} + 9) / 10)) x=${x#*:}; grace=$(((${x%%:*} + 9) / 10))
}
reckon() { # [look]: t0 and spent: the lifetime so far is spent+now-t0; booted: how often. look: only what is written
  now; top "$guard/b."; booted=$n x=$(readlink "$guard/b.$n")
  case $x in "$boot":*) t0=${x#*:}; spent=${t0#*:} t0=${t0%:*}; [ "$t0" -gt "$now" ] || return 0 ;; esac
  [ "$1" != look ] || return
  top "$guard/s."; spent=$n t0=$now
  [ $booted = 0 ] || [ "$now" -gt 60000 ] || t0=0 # a container's uptime may be its host's
  booted=$((booted + 1)); ln -s "$boot:$t0:$spent" "$guard/b.$booted"
}
note() { # the lifetime so far
  ln -s . "$guard/s.$total"
  for f in "$guard"/s.*; do [ "${f##*.}" -ge $total ] || rm -f "$f"; done
} 2>/dev/null
census() { # active: the runs that go on. An orphan gets a supervisor, and with it its limits
  active=
  for each in "$root"/own/*/d; do
    each=${each%/d}
    [ -L "$each/d" ] && [ ! -L "$each/f" ] || continue
    each=${each##*/}
    case $gone in *" $each "*) continue ;; esac
    if [ "$each" != "$seen" ] || ! alive "$seen_sup"; then
      paths "$each"; verdict
      case $phase in
        running) seen=$run seen_sup=$sup ;;
        orphaned | held) detach sh "$0" sup "$run" ;;
        'done') detach sh "$0" sup "$run"; continue ;;
        lost) gone="$gone $run "; continue ;;
        none) continue ;;
      esac
    fi
    active="$active $each"
  done
}
ward() { # [ME LIFE KEEP GRACE T0 SPENT BOOTED SINCE]: what it was before a fork failed
  trap : HUP INT QUIT TERM
  { echo -1000 >"$proc/self/oom_score_adj"; } 2>/dev/null
  cd / || exit
  gone= seen= seen_sup= last_active= noted=0 peek_at=0
  if [ $# = 0 ]; then
    look $$; me=$boot:$$:$born o=$guard
    claim && terms || exit
    reckon; since=$now
    cause=$(readlink "$guard/ending") && exec sh "$0" end "$cause" "$grace" 0
  else me=$1 life=$2 keep=$3 grace=$4 t0=$5 spent=$6 booted=$7 since=$8; fi
  # A shell that cannot fork exits at once: it begins again in its own place, needs no fork for that, and may be told
  # by the uptime alone that the lifetime is over.
  trap 'exec sh "$0" ward "$me" $life $keep $grace $t0 $spent $booted $since' EXIT
  [ $# = 0 ] || { now; until=$((now + 100)); while now; [ "$now" -lt $until ]; do :; done; }
  while [ -L "$guard/arm" ]; do
    now; total=$((spent + now - t0))
    [ $total -lt "$life" ] || exec sh "$0" end lifetime "$grace" 0
    census
    notices
    if [ -n "$active" ]; then since=$now last_active=$active
    else
      for f in $last_active; do
        case $(readlink "$root/own/$f/e") in lease:*) exec sh "$0" end lease "$grace" 0 ;; esac
      done
      last_active=
      if [ "$booted" -gt 1 ] && [ ! -L "$guard/met.$boot" ]; then # nobody asked for that reboot, as far as we know
        if [ "$keep" = 0 ] || [ "$keep" -gt 90000 ]; then until=90000; else until=$keep; fi
        [ $((now - since)) -lt "$until" ] || exec sh "$0" end reboot "$grace" 0
      elif [ "$keep" -gt 0 ] && [ $((now - since)) -ge "$keep" ]; then exec sh "$0" end idle "$grace" 0; fi
    fi
    [ $total -lt "$noted" ] || { note; noted=$((total + 6000)); }
    sleep 1
  done
  trap - EXIT # the root was removed
}
v_guard() { # LIFETIME KEEP GRACE USER, in ms
  number "$1"; number "$2"; number "$3"
  [ "$1" -gt 0 ] || bye refused code=64 text='no lifetime'
  case $4 in -) ;; [!a-z_]* | *[!a-z0-9_-]* | '') bye refused code=64 text='no user name' ;; esac
  [ "$4" = - ] || [ "$(id -u)" != 0 ] || become "$4" || bye refused code=69 text="cannot run jobs as $4: no such user, or no way to change to it"
  mkdir -p "$guard" && ln -s "$1:$2:$3:$4" "$guard/arm" 2>/dev/null
  x=$(readlink "$guard/arm") || bye refused code=74 text='cannot write the guard'
  [ "$x" = "$1:$2:$3:$4" ] || bye refused code=78 text='the guard was armed with other values'
  awake || bye unsure text='the guard does not run'
  bye armed
}
v_hello() {
  steps= left=0 armed=0 cause=$(readlink "$guard/ending")
  for f in "$guard"/end.d/[0-9]*; do [ ! -f "$f" ] || steps=$steps,${f##*/}; done
  if [ -L "$guard/arm" ]; then
    ln -s . "$guard/met.$boot" 2>/dev/null
    if awake && terms; then now; armed=1 left=$((life - spent - now + t0)); fi
    [ "$left" -gt 0 ] || left=0
  fi
  hears; now; bye hello up="$now" boot="$boot" guard=$armed left="$left" ending="$cause" notice=$notice steps="${steps#,}"
}
