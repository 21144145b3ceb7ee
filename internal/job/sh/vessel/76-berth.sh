# --- a container that is entered by SSH: sshd with a host key of its own, and the guard of its jobs ---
furnished() { # what sshd needs; 1: why
  sshd=$(command -v sshd) || sshd=/usr/sbin/sshd
  why='the image has no sshd'; [ -x "$sshd" ] || return
  why='the image has no ssh-keygen'; command -v ssh-keygen >/dev/null || return
  why='the keys for sshd cannot be written'
  mkdir -p "$HOME/.ssh" && chmod 700 "$HOME/.ssh" && mkdir -p "$root/sshd" && cd "$root/sshd" || return
  grep -qxF -e "$PUBLIC_KEY" "$HOME/.ssh/authorized_keys" || { # behind a last line that has no end
    [ -z "$(tail -c 1 "$HOME/.ssh/authorized_keys")" ] || echo
    printf '%s\n' "$PUBLIC_KEY"
  } >>"$HOME/.ssh/authorized_keys"
  chmod 600 "$HOME/.ssh/authorized_keys" && rm -f key key.pub && ssh-keygen -q -t ed25519 -N '' -C '' -f key || return # public images ship published ones
  # a login has the environment of the image, as the first process has it, but for what is ours (of self it is gone when tr begins)
  set -- "$(tr '\n\000' ' \n' <"$proc/$$/environ" | grep '^[A-Za-z_][A-Za-z0-9_]*=' |
    grep -v -E '^(RUNCTL_|PUBLIC_KEY=|HOME=|USER=|LOGNAME=|SHELL=|PWD=|OLDPWD=|SHLVL=|_=)' |
    sed 's/[\\"]/\\&/g; s/^/ "/; s/$/"/' | tr -d '\n')"
  cat >config <<END
SetEnv RUNCTL_ROOT=$root$1
Port ${ve_port}
HostKey $root/sshd/key
PidFile $root/sshd/pid
AuthorizedKeysFile $HOME/.ssh/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
X11Forwarding no
PrintMotd no
MaxSessions 100
MaxStartups 100
Subsystem sftp internal-sftp
END
  { mkdir -p /run/sshd && chmod 755 /run/sshd; grep -q '^root:!' /etc/shadow && sed -i 's/^root:![^:]*:/root:*:/' /etc/shadow; } # a locked account is let in by no key
  why="sshd: $("$sshd" -t -f "$root/sshd/config" 2>&1 | tail -n 1)"
  "$sshd" -t -f "$root/sshd/config" && why=
} 2>/dev/null
sshd_up() { # keep it up
  [ -n "$why" ] || { [ -n "$server" ] && look "$server" && alike; } && return
  [ -z "$server" ] || wait "$server" # it died
  "$sshd" -D -e -f "$root/sshd/config" </dev/null >/dev/null 2>&1 &
  server=$!
} 2>/dev/null
berth() { # [STATE...]
  born "$@"; cd /; [ -n "$HOME" ] || HOME=~; export HOME
  server= said=0
  if [ $# = 0 ]; then
    role=shell; furnished; [ -z "$why" ] || role=refused
  else
    sshd=$(command -v sshd) || sshd=/usr/sbin/sshd
    [ $role = shell ] || why='as it was'
    read -r server <"$root/sshd/pid"
  fi 2>/dev/null
  unset PUBLIC_KEY
  tell
  if [ -z "$why" ]; then
    read -r type key _ <"$root/sshd/key.pub"
    ssum=$(printf '%s' "$nonce$type $key$nonce" | sha256sum); ssum=${ssum%% *}
    [ $# != 0 ] || [ "$lasts" = 0 ] || (v_guard $((lasts * 10)) $((ve_keep * 10)) $((ve_grace * 10)) -) >/dev/null
  fi
  while :; do
    termed=
    sshd_up
    tell
    now
    if [ -z "$why" ] && { [ $said = 0 ] || [ $((now - said)) -ge 6000 ]; }; then
      said=$now; word HOST "type=$type key=$key sum=$ssum"
    fi
    # the guard has no steps here: it ends the runs and says so, and the end is for who has the key
    [ ! -L "$guard/over" ] || [ "$stop_at" -le "$now" ] || stop_at=$now
    leave
    sleep 1
  done
}
