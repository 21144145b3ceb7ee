# --- the supervisor: everything a run needs, made before its job may begin ---
save() { # FILE: LINE over the start of it, on the disk
  printf '%s\n' "$2" | dd of="$1" bs=4096 conv=notrunc,fsync 2>/dev/null ||
    printf '%s\n' "$2" | dd of="$1" bs=4096 conv=notrunc 2>/dev/null
}
sleeper() { case $comm in sleep | busybox | exe) ;; *) return 1 ;; esac; }
probe() { # does a held zombie show its exit code here? exit 7 must read 1792; gVisor and others show 0
  rm -f "$ctl/probe" "$ctl/pid"
  [ -r "$proc/self/stat" ] && mkfifo "$ctl/probe" "$ctl/pid" || return
  ( (read -r x <"$ctl/probe"; [ -z "$user" ] || as sh -c 'exit 7'; exit 7) & echo $! >"$ctl/pid"; exec sleep 5) & k=$!
  read -r p <"$ctl/pid"
  i=0; until look $k && sleeper || [ $i -ge 20 ]; do i=$((i + 1)); nap; done # a shell would reap what it sees die
  true >"$ctl/probe"
  i=0; while [ $i -lt 300 ] && look "$p" && alike; do i=$((i + 1)); [ $i -lt 200 ] || nap; done
  [ "$st$raw" != Z1792 ] || ln -s . "$o/z"
  rm -f "$ctl/probe" "$ctl/pid"; kill -s KILL $k; wait $k
}
fresh() {
  [ ! -L "$guard/ending" ] || refuse 75 'the machine is ending' # asked after the claim, which the guard looks for
  [ ! -L "$guard/notice.$boot" ] || refuse 75 'the cloud takes the machine back'
  whom; [ -z "$user" ] || enter
  mkdir -p "$ctl" "$d/job/work" "$d/job/outputs" "$d/job/checkpoints" || refuse 74 'cannot write the run'
  rm -f "$ctl/in"; mv "$in" "$ctl/in" 2>/dev/null # what mv says means nothing
  [ -f "$ctl/in" ] || { cat "$in" >"$ctl/in" && rm -f "$in"; } || refuse 74 'cannot write the run'
  (. "$ctl/in" && [ "$sp_run d:$sp_digest" = "$run $(readlink "$o/d")" ]) 2>/dev/null || refuse 65 'the spec arrived damaged'
  . "$ctl/in"; places
  case $sp_dir in /*) [ -d "$dir" ] || refuse 66 "no directory $dir" ;; esac
  [ -n "$sp_code" ] || furnish "$dir"
  furnish "$ckpt" "$outputs"
  # @crash before-lock
  if [ "$sp_shared" != 1 ]; then
    lock; case $? in 1) refuse 75 "run $h has the machine" ;; 2) refuse 74 'cannot write the lock' ;; esac
  fi
  # @crash after-lock
  save "$ctl/exit.slot" "$(printf '%4095s' .)" && true >>"$d/out" || refuse 74 'no room for the receipt'
  # @crash after-slot
  [ -z "$sp_code" ] || code_place
  hand_over "$dir" "$ckpt" "$outputs"
  sp_rid=$( (. "$ctl/spec"; echo "$sp_rid") 2>/dev/null) # of an attempt that died: its job may yet wait at the gate
  [ ${#sp_rid} -eq 32 ] || sp_rid=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  [ ${#sp_rid} -eq 32 ] || refuse 69 'no random bytes'
  now; sp_t0=$now sp_w0=$(date +%s)
  { while IFS= read -r row && [ "$row" != 'sp_env() {' ]; do printf '%s\n' "$row"; done <"$ctl/in"
    echo "sp_t0=$sp_t0 sp_w0=$sp_w0 sp_rid=$sp_rid"; } >"$ctl/spec" || refuse 74 'cannot write the spec'
  [ "$sp_lease" = 0 ] || ln -s "$sp_lease" "$o/l.$((sp_t0 + (sp_lease + 9) / 10))" || refuse 74 'cannot write the lease'
  [ -p "$ctl/go" ] || { rm -f "$ctl/go"; mkfifo "$ctl/go"; } || refuse 69 'cannot make a fifo'
  probe; cell
  ( # The keeper forks the job, then sleeps: it never waits, so the dead job stays a zombie that holds its status and
    # its pid, whatever becomes of the supervisor.
    setsid=$(command -v setsid) || set -m
    (RUNCTL_MARK=$sp_rid; export RUNCTL_MARK; exec $setsid sh "$0" stage "$run") </dev/null >>"$d/out" 2>&1 &
    [ -L "$o/z" ] && exec sleep 2147483647
    trap : HUP INT TERM
    while wait $!; code=$?; kill -0 $! 2>/dev/null; do :; done # a signal to us ends wait, not the job
    ln -s $code "$o/w"
  ) & keeper=$!
  # @crash after-fork
  i=0; until [ -L "$o/j" ]; do nap; i=$((i + 1)); [ $i -lt 200 ] || exit; done
  ln -s . "$o/h"; answer started already=0
  # @crash after-hello
}
