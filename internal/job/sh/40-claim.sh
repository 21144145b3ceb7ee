# --- the supervisor: one at a time for a run, one run at a time for the machine ---
answer() { [ -z "$reply" ] || ln -s "$*" "$o/r.$reply"; }
refuse() { rm -f "$ctl/in" "$in"; free; answer refused code="$1" text="$2"; exit; }
tidy() { # specs whose start died while they arrived
  for f in "$o"/in.*; do [ "$f" = "$in" ] || [ ! -f "$f" ] || look "${f##*.}" || rm -f "$f"; done
}
claim() { # become the next generation of this run's supervisor; 1: another lives, 2: no room
  while :; do
    top "$o/"; [ "$n" = 0 ] || ! alive "$(readlink "$o/$n")" || return 1
    ln -s "$me" "$o/$((n + 1))" 2>/dev/null && return
    [ -L "$o/$((n + 1))" ] || return 2
  done
}
lock() { # the machine for this run; 1: run $h has it, 2: no room
  while :; do
    top "$root/lock."
    if [ "$n" != 0 ] && [ ! -L "$root/free.$n" ]; then
      h=$(readlink "$root/lock.$n"); h=${h##*:}
      [ "$h" = "$run" ] || (paths "$h"; verdict; case $phase in running | orphaned | unknown) exit 1 ;; esac) || return 1
    fi
    held=$((n + 1))
    ln -s "$me:$run" "$root/lock.$held" 2>/dev/null && return
    [ -L "$root/lock.$held" ] || { held=; return 2; }
    held=
  done
}
free() { [ -z "$held" ] || ln -s . "$root/free.$held"; held=; }
