# --- whom the job runs as: where we are root, the user that the guard or the file guard/user names ---
as() { exec "$@"; } # become COMMAND, as the job's user
may() { [ -x "$1" ]; } # the job's user run FILE
whom() { # the user into user; empty: as ourselves
  user=$(readlink "$guard/arm") && user=${user##*:}
  [ -n "$user" ] && [ "$user" != - ] || { user=; [ ! -f "$guard/user" ] || read -r user <"$guard/user"; }
  [ -z "$user" ] || [ "$(id -u)" = 0 ] && [ "$user" != root ] || user=
}
become() { # USER: let as change to it; 1: there is no way
  case $1 in '' | [!a-z_]* | *[!a-z0-9_-]*) return 1 ;; esac
  uid=$(id -u "$1" 2>/dev/null) && gid=$(id -g "$1") && shell=$(command -v sh) || return
  for how in "setpriv --reuid=$uid --regid=$gid --clear-groups --" "chroot --skip-chdir --userspec=$uid:$gid --groups= /" \
    "start-stop-daemon -S -q -p /nonexistent -c $uid:$gid -a $shell -- -c 'exec \"\$@\"' sh"; do # the last is busybox's
    tool=$(command -v "${how%% *}") || continue
    eval "as() { exec $tool ${how#* } \"\$@\"; }" # literals only: the job's variables may have the names of ours
    eval "may() { (as $shell -c '[ -x \"\$1\" ]' sh \"\$1\"); }"
    [ "$(as id -u 2>/dev/null)" = "$uid" ] && return
  done
  return 1
}
enter() { # the job's user may pass through to its own directories, and sees nothing on the way
  become "$user" || refuse 69 "cannot run jobs as $user: no such user here, or none of setpriv, chroot and start-stop-daemon can change to it"
  cd -P "$root" && root=$PWD && cd / && RUNCTL_ROOT=$root && export RUNCTL_ROOT && paths "$run" && in=$o/in.$reply
  mkdir -p "$d" && chmod 711 "$root" "$root/run" "$d" || refuse 74 'cannot write the run'
}
furnish() { # DIR...: the job's directories, its own if made here
  for f; do
    [ -d "$f" ] || { [ -z "$user" ] || case $f in "$d"/*) ;; *) umask 022 ;; esac; mkdir -p "$f" && { [ -z "$user" ] || chown "$uid:$gid" "$f"; }; umask 077; }
    [ -d "$f" ] || refuse 74 "cannot make the job's directory $f"
  done
}
hand_over() { # DIR...: what is below job/ belongs to the job's user, who can enter each
  [ ! -L "$o/u" ] || rm -f "$o/u" # of a start that was refused
  [ -n "$user" ] || return 0
  chown -Rh "$uid:$gid" "$d/job" || refuse 74 "cannot give the job's directories to $user"
  (as sh -c 'for f; do cd "$f" || exit; done' sh "$@") 2>/dev/null ||
    refuse 69 "$user may not enter each of $*: let RUNCTL_ROOT lie below a directory that others may enter, such as /var/lib"
  ln -s "$user" "$o/u" || refuse 74 'cannot write the run'
}
settled() { user=$(readlink "$o/u") || { user=; return 0; }; become "$user" || exit 75; } # as it was started
dress() { # the environment that a user of that name expects
  [ -z "$user" ] || { eval "HOME=~$user"; USER=$user LOGNAME=$user; export HOME USER LOGNAME; }
}
