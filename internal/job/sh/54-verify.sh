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
code_names() { # MANIFEST: say the first path here whose presence, kind or link is not the manifest's; all, if there is none
  odd=$({ # every line once from the manifest and once from here, but the last
    cut -d ' ' -f 1,4- "$1" | cut -f 1 | sed 's, , ./,'
    find . -type f -perm -100 | sed 's/^/x /'
    find . -type f ! -perm -100 | sed 's/^/- /'
    find . ! -type f ! -type d | sed 's/^/l /'
    echo '~ all'
  } | sort | uniq -c | sed -n '/^ *2 /!{s/^ *[0-9]* . //p;q;}')
  if [ "$odd" = all ]; then
    sed -n '/^l/p' "$1" | cut -d ' ' -f 4- | while IFS=$tab read -r p t; do
      [ "$(readlink "./$p"; echo .)" = "$t$nl." ] || { printf './%s\n' "$p"; break; }
    done
  fi
  printf '%s\n' "$odd"
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
  odd=$(code_names "$2" | sed q)
  wait $a; a=$?; wait $b; b=$?
  [ "$odd" != all ] || [ $a = 0 ] || odd=$(cat "$2.1")
  [ "$odd" != all ] || [ $b = 0 ] || odd=$(cat "$2.2")
  rm -f "$2".[012]*
  [ "$odd" != "$2" ] || odd='its manifest'
  [ "$odd" = all ] || { odd=${odd#./}; printf '%s\n' "${odd:-its sums}"; exit 1; }
)
