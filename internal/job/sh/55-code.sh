# --- code: trees of files by the digest of their manifest; no job ever works in one ---
# Below $root/code:
#   d.DIGEST/{m,t}   a tree that arrived whole and verified: manifest and files
#   in.ID/           one that arrives: p who takes it in · g its digest · m · t · n sums of what was sent · f files are next
#                    · s sums of them, made while more came · e what tar said
#                    · b0 b1.. the trees that it takes files from. What a cut leaves is a source for the next
#   old.*            on its way out
# Files are hard-linked from tree to tree, never into a job's directory: a run gets a copy.
code=$root/code
code_digest() { case $1 in *[!0-9a-f]*) ;; ????????????????????????????????????????????????????????????????) return ;; esac; bye refused code=64 text='not a digest'; }
code_id() { case $1 in '' | *[!0-9a-z]*) bye refused code=64 text='not the name of a part' ;; esac; }
code_tidy() { # [DIGEST]: keep that tree and the four others used last, and what arrived in part of two others; without: keep nothing
  n=0; for f in $(ls -1td d.* 2>/dev/null); do
    [ "$f" != "d.$1" ] || continue
    n=$((n + 1)); [ $n -lt 5 ] && [ -n "$1" ] || mv "$f" "old.$$.$n"
  done
  k=0; for f in $(ls -1td in.* new.* 2>/dev/null); do
    alive "$(readlink "$f/p")" && continue
    k=$((k + 1)); [ "$(readlink "$f/g")" != "$1" ] && [ $k -lt 3 ] && [ -n "$1" ] || mv "$f" "old.$$.$n.$k"
  done
  rm -rf old.*
} 2>/dev/null
code_place() { # the tree sp_code, copied and verified, becomes the run's working directory
  x=$code/d.$sp_code w=$d/job/work
  touch -c "$x" 2>/dev/null
  cp "$x/m" "$ctl/code" 2>/dev/null || refuse 66 "the machine has no code of digest $sp_code; send it again"
  rm -rf "$w" && mkdir "$w" && (umask "$mask"; umask u=rwx
    cp -RP --reflink=auto "$x/t/." "$w" 2>/dev/null || cp -RP "$x/t/." "$w") 2>/dev/null || refuse 74 'cannot copy the code; is the disk full?'
  find "$w" -depth -type d -exec rmdir {} + 2>/dev/null; mkdir -p "$w" # a directory without files is in no tree
  x=$(code_check "$w" ../../ctl/code "$sp_code") || {
    (cd "$code" && code_tidy) # others may share its files
    refuse 65 "the code on the machine does not verify: $x; send it again"
  }
  [ -d "$dir" ] || refuse 66 "no directory $sp_dir in the code"
}
copying() { [ -f "$ctl/code" ] && top "$o/" && alive "$(readlink "$o/$n")"; } # a start may take long for that reason
v_codeask() { # DIGEST
  code_digest "$1"
  say ping; read -r x; say pong # at once: what a fork takes is no part of the round trip
  [ ! -f "$code/d.$1/m" ] || { touch -c "$code/d.$1"; bye code have=1; }
  command -v tar >/dev/null 2>&1 || bye refused code=69 text='the machine has no tar'
  summer || bye refused code=69 text='the machine has neither sha256sum nor shasum'
  n=none; for f in gzip zstd; do ! command -v $f >/dev/null 2>&1 || n=$n,$f; done
  x="code have=0 formats=$n"
  cd "$code" 2>/dev/null && {
    for f in $(ls -1td d.* 2>/dev/null); do x="$x${nl}RUNCTL1 tree digest=${f#d.}"; done
    for f in in.*; do [ ! -d "$f/t" ] || x="$x${nl}RUNCTL1 part id=${f#in.}"; done
  }
  bye "$x"
}
v_codetree() { # DIGEST
  code_digest "$1"
  [ -f "$code/d.$1/m" ] || bye refused code=76 text='no such tree'
  say raw; exec cat "$code/d.$1/m"
}
v_codepart() { # ID
  code_id "$1"
  cd "$code/in.$1/t" 2>/dev/null && summer || bye refused code=76 text='no such part'
  say raw
  find . -type f -perm -100 -exec $sum {} + 2>/dev/null | sed 's/^/x /'
  find . -type f ! -perm -100 -exec $sum {} + 2>/dev/null | sed 's/^/- /'
}
code_beside() { # say the sums of the files after f, as n does, while tar -v says them: one is whole when the next begins
  sed -n -e '1,/^f$/d' -e '/\/$/d' -e 'x;/./p' -e '${x;p;}' | tr '\n' '\0' | xargs -0 -r -n 1000 openssl dgst -sha256 -r 2>/dev/null | sed 's, \*t/,  ./,'
  cat >/dev/null # whatever fails above, tar goes on
}
v_codeput() { # DIGEST ID FORMAT SOURCE...: take in a tar of m, n, links, perhaps f, and t/..., whose hard links are to bN/..., the Nth source
  code_digest "$1"; code_id "$2"; g=$1 new=new.$2 in=in.$2 as=$3; shift 3
  case $as in none | gzip | zstd) ;; *) bye refused code=64 text='no such format' ;; esac
  for f; do case $f in d.*[!0-9a-f]* | in.*[!0-9a-z]*) f= ;; d.* | in.*) ;; *) f= ;; esac; [ -n "$f" ] || bye refused code=64 text='no such source'; done
  look $$
  { mkdir -p "$code" && cd "$code" && mkdir "$new" "$new/t" && ln -s "$boot:$$:$born" "$new/p" && ln -s "$g" "$new/g" &&
    n=0 && for f; do ln -s "../$f/t" "$new/b$n"; n=$((n + 1)); done && mv "$new" "$in" && cd "$in"
  } 2>/dev/null || bye refused code=74 text='cannot write the code'
  wide; [ -z "$b" ] || [ $# -gt 0 ] || b="$b -v --quoting-style=literal"
  case $as in none) tar $b -xpof - ;; *) $as -dc | tar $b -xpof - ;; esac 2>e | code_beside >s
  cmp -s s n && : >n # all of them were looked at
  x=$(code_check t ../m "$g" ../n) || {
    f=$(tail -n 1 e | cut -c 1-300)
    [ ! -d "../d.$g" ] || rm -rf "../$in" # another sender was faster
    case $f in *[Nn]'o space'*) bye refused code=74 text="no room for the code: $f" ;; '') bye refused code=65 text="the code did not arrive as it was sent: $x" ;; esac
    bye refused code=65 text="the code did not arrive as it was sent: $f ($x)"
  }
  cd ..
  [ -d "d.$g" ] || mv "$in" "d.$g" # a second sender that moved it there in between put ours inside, where it is in no tree
  rm -rf "$in" "d.$g"/[!mt]*
  touch -c "d.$g"
  say "code have=1${nl}RUNCTL1 end"
  code_tidy "$g"
  exit 0 # of two that tidy at once one finds less than it looked for
}
