# --- the log on the way out: a line of it is a line here, in batches, each followed by its place and sum ---
batch=262144 widest=4000
piece() { { dd bs=1 skip="$off" count=0; dd bs="$1" count=1; } <"$d/out" 2>/dev/null; } # N bytes from off
hexed() { # N: what would not survive as a line travels in hex
  { piece "$1" | od -An -v -tx1 | tr -d ' \n'; echo; } | fold -b -w 4000 | sed "s/^/RUNCTL_HEX v=1 nonce=$nonce boot=$birth /"
}
plain() { # N: only bytes that every line-keeper leaves alone, and no long line?
  [ $(($(piece "$1" | LC_ALL=C tr -d '\11\12\40-\176\200-\377' | wc -c))) = 0 ] &&
    [ $(($(piece "$1" | LC_ALL=C fold -b -w $widest | wc -l))) = $(($(piece "$1" | wc -l))) ]
}
pump() { # [all]: the next batch; 1: there is none. A line that is not finished waits, 5 s at most
  size; now
  [ "$size" -ge 0 ] || return
  [ "$size" -ge "$off" ] || off=0 # the job has cut its own log
  n=$((size - off))
  [ $n -gt 0 ] || { heard=$now; return 1; }
  [ $n -le $batch ] || n=$batch
  set -- "$1" $(piece $n | tail -n 1 | wc -lc)
  if [ "$2" = 0 ] && [ "$3" = $n ]; then # not one end of a line
    [ $n = $batch ] || [ -n "$1" ] || [ $((now - heard)) -ge 500 ] || return 1
    hexed $n
  else
    [ "$2" = 1 ] || n=$((n - $3))
    if plain $n; then piece $n; else hexed $n; fi
  fi
  set -- $(piece $n | sha256sum)
  word AT "from=$sent off=$((sent + n)) sum=$1"
  off=$((off + n)) sent=$((sent + n)) heard=$now
}
