# --- code: is a directory what a manifest says? see internal/manifest ---
summer() { sum=sha256sum; command -v sha256sum >/dev/null 2>&1 || { sum='shasum -a 256'; command -v shasum >/dev/null 2>&1; }; }
code_sums() { # LIST: its lines SUM  PATH are so; else LIST is the first path that is not
  # openssl is several times as fast, but only sha256sum's word counts against a file
  command -v openssl >/dev/null 2>&1 && cut -d ' ' -f 3- "$1" | tr '\n' '\0' | xargs -0 openssl dgst -sha256 -r 2>/dev/null |
    sed 's/ \*/  /' | cmp -s - "$1" && return
  $sum -c <"$1" >"$1.said" 2>/dev/null && return
  sed -n '/: OK$/!{s/: FAILED.*//;p;q;}' "$1.said" >"$1"
  return 1
}
code_names() { # MANIFEST: is the presence, kind and link of every path here the manifest's? else say the first whose is not
  # a file's path stands once in both lists, an executable one's twice, a link's three times: that takes one walk
  { cut -d ' ' -f 1,4- "$1" | cut -f 1 | sed -e 's,^- ,./,;t' -e 's,^x ,./,p;t' -e 's,^l ,./,;p;p'; echo '~'; } >"$1.3" & n=$!
  { find . ! -type d -print \( -type f -perm -100 -print -o ! -type f -print -print \) | sort; echo '~'; } >"$1.4"
  wait $n
  n=$(cmp "$1.3" "$1.4") || { n=${n##* }; for f in 3 4; do sed -n "${n}p" "$1.$f"; done | sort | sed q; return 1; }
  sed -n '/^l/p' "$1" | cut -d ' ' -f 4- | while IFS=$tab read -r p t; do
    [ "$(readlink "./$p"; echo .)" = "$t$nl." ] || { printf './%s\n' "$p"; exit 1; }
  done
}
code_check() ( # DIR MANIFEST DIGEST [SUMS]: DIR is as the manifest says, and that is itself; else say the first path that is not
  # MANIFEST and SUMS (of the contents to look at; none: all) are relative to DIR. There is no process for each file
  LC_ALL=C; export LC_ALL
  cd "$1" && tab=$(printf '\t') && summer || exit
  { if [ -n "$4" ]; then cat "$4"; else sed '/^l/d' "$2" | cut -d ' ' -f 3- | sed 's, ,  ./,'; fi; echo "$3  $2"; echo "$3  $2"; } >"$2.0"
  sed -n 'p;n' "$2.0" >"$2.1"; sed -n 'n;p' "$2.0" >"$2.2" # for two processes
  n=$(cat "$2.1" "$2.2" | wc -l); [ $n -gt 1 ] && [ $n -eq $(($(grep -c '^[^l]' "${4:-$2}") + 2)) ] || { echo 'its sums'; exit 1; }
  code_sums "$2.1" & a=$!
  code_sums "$2.2" & b=$!
  odd=$(code_names "$2"); c=$?
  wait $a; a=$?; wait $b; b=$?
  case "$c $a $b" in '0 0 '*) odd=$(cat "$2.2") ;; '0 '*) odd=$(cat "$2.1") ;; esac
  rm -f "$2".[0-4]*
  [ "$c $a $b" != '0 0 0' ] || exit 0
  [ "$odd" != "$2" ] || odd='its manifest'
  odd=${odd#./}; printf '%s\n' "${odd:-its sums}"; exit 1
)
