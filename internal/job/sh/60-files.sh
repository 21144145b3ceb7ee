# --- files of a run, out ---
v_get() { # RUN PATH
  [ -L "$o/j" ] || bye norun run="$run"
  sp_dir= sp_ckpt= sp_outputs=
  [ ! -f "$ctl/spec" ] || . "$ctl/spec"
  places
  for f in "$dir" "$outputs"; do
    [ "$2" != . ] || f=$outputs # all that was put out, never the whole directory of a job in place
    [ -e "$f/$2" ] || [ -L "$f/$2" ] || continue
    c=$(cd "$f" && pwd -P); case $2 in */*) p=$(cd "$f/${2%/*}" && pwd -P) ;; *) p=$c ;; esac
    case $p/ in "${c%/}"/*) ;; *) bye refused code=76 text='the path leads out of the run' ;; esac
    cd "$f" || exit 1
    say tar; COPYFILE_DISABLE=1 exec tar -cf - "./$2" </dev/null
  done
  bye refused code=76 text='no such file or directory'
}
