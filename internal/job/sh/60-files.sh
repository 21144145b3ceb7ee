# --- files of a run, out and in ---
# Names stand below a place: work (the job's directory), outputs, or put.TOKEN, where what arrives waits until it
# is whole. Lists of names come on stdin, each ended by a NUL: no line, no option and no pattern can be made of one.
wide() { b=; case $(tar --version 2>/dev/null) in *GNU*) b='-b 128' ;; esac; } # tar moves 10 KiB at a time otherwise
need() { for f; do command -v "$f" >/dev/null 2>&1 || bye refused code=69 text="the machine has no $f"; done; }
place() { # WORD: its directory into at
  [ -L "$o/j" ] || bye norun run="$run"
  sp_dir= sp_ckpt= sp_outputs=
  [ ! -f "$ctl/spec" ] || . "$ctl/spec"
  places
  case $1 in
    work) at=$dir ;;
    outputs) at=$outputs ;;
    put.*[!0-9a-f]* | put.) bye refused code=64 text='not a token' ;;
    put.*) at=$d/$1 ;;
    *) bye refused code=64 text='no such place' ;;
  esac
}
stand() { # PLACE: enters it; what is read there is read as the job's user, who put the names there
  place "$1"; cd "$at" 2>/dev/null || bye refused code=76 text='no such directory'
  case $1 in put.*) ;; *) settled ;; esac
}
v_tree() { # RUN PLACE|any PATH: what is there; any: in the job's directory, or else in its outputs
  need find xargs stat tr
  path=$3 gz=0; command -v gzip >/dev/null 2>&1 && gz=1
  case /$3/ in */../*) bye refused code=76 text='the path leads out of the run' ;; esac
  say ready; read -r x; say pong gzip=$gz # one round trip, for whoever measures it
  case $2/$3 in any/.) set -- outputs ;; any/*) set -- work outputs ;; *) set -- "$2" ;; esac
  for w; do
    place "$w"
    [ -e "$at/$path" ] || [ -L "$at/$path" ] || continue
    c=$(cd "$at" && pwd -P); case $path in */*) p=$(cd "$at/${path%/*}" && pwd -P) ;; *) p=$c ;; esac
    case $p/ in "${c%/}"/*) ;; *) bye refused code=76 text='the path leads out of the run' ;; esac
    stand "$w"
    say tree place="$w"
    LC_ALL=C; export LC_ALL
    [ "$path" = . ] || path=./$path
    if stat -c %s . >/dev/null 2>&1; then set -- stat -c '%f %s %n'; else set -- stat -f '%Xp %z %N'; fi
    (as find "$path" \( -name '*[[:cntrl:]]*' -o -name '*\\*' \) -prune -o -exec "$@" {} + </dev/null)
    say odd # names that no line can carry
    (as find "$path" \( -name '*[[:cntrl:]]*' -o -name '*\\*' \) -prune -print0 </dev/null) | tr '\n\000' '?\n'
    say end; exit 0
  done
  bye refused code=76 text='no such file or directory'
}
v_sums() { # RUN PLACE
  need xargs; stand "$2"
  case $(printf x | openssl dgst -sha256 -r 2>/dev/null) in # several times faster than most sha256sum
    2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881*) set -- openssl dgst -sha256 -r ;;
    *) if command -v sha256sum >/dev/null 2>&1; then set -- sha256sum; else need shasum; set -- shasum -a 256; fi ;;
  esac
  say sums; (as xargs -0 "$@" 2>/dev/null); say end; exit 0
}
v_get() { # RUN PLACE gzip|plain: tar archives, one after the other
  need xargs tar; stand "$2"; COPYFILE_DISABLE=1; export COPYFILE_DISABLE
  wide; say raw
  if [ "$3" = gzip ]; then (as xargs -0 tar $b -cf -) | gzip -1; else (as xargs -0 tar $b -cf -); fi
  exit 0 # what did not come is seen and asked for again
}
v_tail() { # RUN PLACE gzip|plain OFFSET NAME
  number "$4"; stand "$2"
  [ -f "./$5" ] || bye refused code=76 text='no such file or directory'
  say raw
  if [ "$3" = gzip ]; then (as tail -c "+$(($4 + 1))" "./$5") | gzip -1; else (as tail -c "+$(($4 + 1))" "./$5"); fi
  exit 0
}
taking() { # TOKEN: enters where what arrives for a run that goes on has its place
  place "put.$1"; verdict
  case $phase in running | orphaned | unknown) ;; *) bye refused code=79 text='the run has ended' ;; esac
  case $sp_dir in /*) bye refused code=79 text='the job works in a directory of its caller, not of the run' ;; esac
  mkdir -p "$at" && cd "$at" || bye refused code=74 text='cannot write the run'
  umask 022
}
v_put() { # RUN TOKEN gzip|plain: a tar
  need tar; taking "$2"; wide
  if [ "$3" = gzip ]; then c=$({ gzip -dc | tar $b -xmof -; } 2>&1 | sed '/xiting/d' | tail -n 1); else c=$(tar $b -xmof - 2>&1 | sed '/xiting/d' | tail -n 1); fi
  bye put text="$c"
}
v_patch() { # RUN TOKEN gzip|plain OFFSET MODE NAME: a file from a multiple of 64 KiB on
  number "$4"; number "$5"; taking "$2"
  if [ "$3" = gzip ]; then gzip -dc; else cat; fi | dd of="./$6" bs=65536 seek=$(($4 / 65536)) conv=notrunc 2>/dev/null
  c=$(chmod "$5" "./$6" 2>&1)
  bye put text="$c"
}
merge() ( # DIRECTORY: what waits of it goes into the job's, by renaming, never through a link that leads out
  cd -P "$base/$1" || exit 1
  case $(pwd -P)/ in "${base%/}"/*) ;; *) echo "$1 leads out of the run"; exit 1 ;; esac
  for f in "$at/$1"/* "$at/$1"/.[!.]* "$at/$1"/..?*; do
    [ -d "$f" ] || continue
    if [ -d "./${f##*/}" ]; then merge "$1/${f##*/}"; else mv -f "$f" .; fi || exit 1
  done
  find "$at/$1/." ! -name . -prune -type f -exec sh -c 'exec mv -f "$@" .' sh {} +
)
v_move() { # RUN TOKEN; on stdin what is not to be moved
  need find xargs; taking "$2"
  xargs -0 rm -f 2>/dev/null
  base=$(cd -P "$dir" && pwd -P); cd /
  c=$(readlink "$o/u") && chown -Rh "$c:$(id -g "$c")" "$at" # the job's user, where it has one
  c=$(merge . 2>&1 </dev/null) && [ -z "$(find "$at" -type f -print | head -n 1)" ] || bye refused code=76 text="${c##*"$nl"}"
  rm -rf "$at"
  bye moved
}
