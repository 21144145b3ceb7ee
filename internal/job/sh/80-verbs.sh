# --- the verbs of a run ---
v_list() {
  for f in "$root"/own/*/d; do
    f=${f%/d}; paths "${f##*/}"
    [ -L "$o/j" ] && show
  done
  say end
}
v_start() { # RUN DIGEST BYTES
  number "$3"; in=$o/in.$$
  mkdir -p "$o" && cat >"$in" || { rm -f "$in"; bye refused code=74 text='cannot write the spec'; }
  [ $(($(wc -c <"$in"))) -eq "$3" ] || { rm -f "$in"; bye refused code=65 text='the spec arrived cut'; }
  ln -s "d:$2" "$o/d" 2>/dev/null
  [ "$(readlink "$o/d")" = "d:$2" ] || { rm -f "$in"; [ ! -L "$o/d" ] || bye used run="$run"; bye refused code=74 text='cannot claim the run'; }
  top "$o/"; c=$n
  rm -f "$o/r.$$"; detach sh "$0" sup "$run" $$
  now; last=$((now + 1500))
  until [ -L "$o/r.$$" ]; do
    now; [ "$now" -lt $last ] || copying || bye unsure text='the supervisor did not answer'
    nap; [ $((naps % 8)) = 0 ] || continue
    top "$o/"; [ "$n" = "$c" ] || alive "$(readlink "$o/$n")" || [ -L "$o/r.$$" ] || bye unsure text='the supervisor died'
  done
  c=$(readlink "$o/r.$$"); rm -f "$o/r.$$"
  case $c in refused*) # who refused is on its way out: a status that follows must not take it for a running one
    top "$o/"; now; last=$((now + 100)); while alive "$(readlink "$o/$n")" && now && [ "$now" -lt $last ]; do nap; done ;;
  esac
  bye "$c"
}
v_status() { # RUN
  show; say end
}
v_wait() { # RUN SECONDS
  number "$2"; now; last=$((now + $2 * 100))
  while settle; now; [ "$now" -lt $last ]; do
    case $phase in running | orphaned | unknown) nap ;; *) break ;; esac
    # while its supervisor lives and there is no receipt nothing can have changed, and a look costs no fork
    while [ $phase = running ] && ! receipt && alive "$sup" && now && [ "$now" -lt $last ]; do nap; done
  done
  show; say end
}
v_log() { # RUN OFFSET MODE
  number "$2"; case $3 in once | follow) ;; *) bye refused code=64 text='once or follow' ;; esac
  [ -L "$o/j" ] && [ -f "$d/out" ] && [ ! -L "$d/out" ] && exec 3<"$d/out" || bye norun run="$run"
  off=$2 live=1 phase= most=65536
  [ "$off" = 0 ] || dd bs=1 skip="$off" count=0 <&3 2>/dev/null
  now; last=$((now + 500))
  while :; do # whether it lives is asked before how long the log is: what came between is then still told
    if [ "$phase" != running ] || receipt || ! alive "$sup"; then
      settle; case $phase in running | orphaned | unknown) ;; *) live=0 ;; esac
    fi
    size
    [ "$size" -ge "$off" ] || { [ "$size" -ge 0 ] || size=0; bye gap from="$size" to="$off"; }
    # whole blocks first: a process moves many, so frames grow, but not at once, since a line that is cut loses its last frame
    while [ "$off" -lt "$size" ]; do
      n=$((size - off)) bs=65536
      [ $n -le $most ] || n=$most
      if [ $n -lt $bs ]; then bs=$n; else n=$((n / bs * bs)) most=$((n < 4194304 ? n * 2 : n)); fi
      say data from="$off" n=$n || exit
      dd bs=$bs count=$((n / bs)) <&3 2>/dev/null && printf '\nRUNCTL1 .\n' || exit
      off=$((off + n)) naps=0
    done
    [ $live = 1 ] && [ "$3" = follow ] || bye log next="$off" live=$live
    now; if [ "$now" -ge $last ]; then say tick || exit; last=$((now + 500)); fi
    nap
  done
}
v_cancel() { # RUN GRACE
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
  bye cancelled
}
