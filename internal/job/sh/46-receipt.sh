# --- the supervisor: what is written down at the end ---
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
  c=$(as dd if="$ckpt/latest" bs=258 count=1 2>/dev/null | tr '\000' '!'; echo .); c=${c%.}; c=${c%"$nl"}
  case /$c/ in // | //* | */../* | *[!A-Za-z0-9._/-]*) c= ;; esac
  [ ${#c} -le 256 ] || c=
}
let_go() { # end the keeper, and with it the held status
  ln -s . "$o/f"
  [ ! -f "$ctl/in" ] || rm -f "$ctl/in" # of a job that was killed at the gate
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
  while :; do # what is read back counts, not what mv said; what stands in the way goes; where ctl is gone: rescue
    save "$ctl/exit.slot" "$want" &&
      # @crash after-write
      mv -f "$ctl/exit.slot" "$ctl/exit"
    # @crash after-rename
    receipt && [ "$line" = "$want" ] && break
    rm -rf "$ctl/exit" "${root:?}/rescue/$run"
    mkdir -p "$root/rescue" && save "$root/rescue/$run" "$want"
    receipt && [ "$line" = "$want" ] && break
    i=$((i + 1)); [ $i -lt 20 ] || exit # the keeper goes on holding the status for a later look
    nap
  done 2>/dev/null
  let_go
  free
  # @crash after-unlock
}
sup() { # [REPLY]: supervise the run; what start waits for goes to r.REPLY
  trap : HUP INT TERM # not '': the job would inherit that
  { echo -1000 >"$proc/self/oom_score_adj"; } 2>/dev/null # the job takes it back
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
  tidy
  if [ -L "$o/j" ]; then # adopt: an earlier supervisor got as far as the job
    rm -f "$in"; answer started already=1
    if receipt; then let_go; exit; fi
    sp_dir= sp_ckpt= sp_outputs= sp_grace=30000 sp_limit=0 sp_lease=0 sp_t0=0 sp_w0=0 sp_rid=
    [ ! -f "$ctl/spec" ] || . "$ctl/spec"
    places; settled
  else
    [ -n "$reply" ] || exit
    fresh
  fi
  job=$(readlink "$o/j")
  naps=0; watch; sweep; finish
}

