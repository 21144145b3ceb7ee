# --- the lease: own/RUN/l.EXPIRY -> its length in ms. A run has it until the highest EXPIRY, an uptime ---
leased() { top "$o/l."; [ $n != 0 ] || top "$o/l."; } # into n; 0: none. Twice, for what is pruned in between
prune() { for f in "$o"/l.*; do [ "${f##*.}" -ge "$1" ] || rm -f "$f"; done; } # by the supervisor alone
v_renew() { # RUN SEEN MS: SEEN is an uptime that the caller was shown
  number "$2"; number "$3"
  verdict
  case $phase in
    none) bye norun run="$run" ;;
    'done' | lost | held) bye refused code=77 text='the run is over' ;;
  esac
  leased; old=$n
  [ $old != 0 ] || bye refused code=77 text='the run has no lease'
  now; lease=$(readlink "$o/l.$old")
  [ "$2" -le "$now" ] || bye refused code=77 text='the uptime seen is not believable'
  [ "$3" -le "${lease:-0}" ] || bye refused code=77 text="the lease is ${lease:-0} ms"
  new=$(($2 + ($3 + 9) / 10))
  [ $new -le "$old" ] || ln -s "$lease" "$o/l.$new" 2>/dev/null || [ -L "$o/l.$new" ] || bye unsure text='cannot write the lease'
  # who drains looks for renewals only when the old end has come: made before, it is seen
  now; [ ! -L "$o/e" ] && [ "$now" -lt "$old" ] || bye refused code=77 text='the run is ending'
  leased; bye renewed until="$n"
}
