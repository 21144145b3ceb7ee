# --- a cgroup of the job's own, where we are root and have cgroup2: nothing that it starts gets out by itself ---
cell() { # make it, and write down where
  [ "$(id -u)" = 0 ] || return 0
  kind=; while read -r _ at kind _; do [ "$kind" != cgroup2 ] || break; done <"$proc/self/mounts"
  [ "$kind" = cgroup2 ] && at=$at/runctl-$run-${sp_rid%????????????????????????} && mkdir "$at" && [ -w "$at/cgroup.kill" ] &&
    ln -s "$at" "$o/k" || rmdir "$at"
  return 0
} 2>/dev/null
lock_in() { at=$(readlink "$o/k") && echo 0 >"$at/cgroup.procs"; } 2>/dev/null # the calling shell
inmates() { [ -z "$cell" ] || cat "$cell/cgroup.procs" "$cell"/*/cgroup.procs "$cell"/*/*/cgroup.procs; } 2>/dev/null
raze() { # whatever lives in it dies, and it goes
  [ -n "$cell" ] || return 0
  echo 1 >"$cell/cgroup.kill"
  rmdir "$cell"/*/*/ "$cell"/*/ "$cell"
} 2>/dev/null
