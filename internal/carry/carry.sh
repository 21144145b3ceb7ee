# Fetches what a job needs, runs it, and delivers what it leaves. What is to be done comes as rows in a variable that the
# job does not get. Addresses are secrets: they are given to nobody but on standard input. The job's variables may have the
# names of ours, and its program that of a function: so all but two lives in subshells, and the job is exec'ed.
set +vx # a shell that its environment has told to trace would write the addresses into the log
_RUNCTL_ROWS=$_RUNCTL_CARRY
unset _RUNCTL_CARRY
_RUNCTL_BASE=${RUNCTL_OUTPUT_DIR%/*}
[ -w "$_RUNCTL_BASE" ] || _RUNCTL_BASE=$PWD # a job of another user's than its supervisor may write in its own directories alone
say() { printf 'runctl: %s\n' "$*" >&2; }
next() { # the next row into what, path, size, tag, url; the row // stands for the job, and has no more than that
  what=${rows%%"$nl"*} rows=${rows#*"$nl"}
  [ "$what" != // ] || return
  path=${rows%%"$nl"*} rows=${rows#*"$nl"}
  size=${rows%%"$nl"*} rows=${rows#*"$nl"}
  tag=${rows%%"$nl"*} rows=${rows#*"$nl"}
  url=${rows%%"$nl"*} rows=${rows#*"$nl"}
}
has() { command -v "$1" >/dev/null 2>&1; }
own() { # the names that subshells use
  nl='
' rows=${_RUNCTL_ROWS#?} resume=$_RUNCTL_BASE/.runctl-resume tmp=$_RUNCTL_BASE/.runctl-carry
  python='
import os, shutil, sys, urllib.error, urllib.request
how, name, tag = sys.argv[1:]
url = sys.stdin.readline().strip()
try:
    if how == "put":
        with open(name, "rb") as f:
            urllib.request.urlopen(urllib.request.Request(url, data=f, method="PUT", headers={"Content-Length": str(os.path.getsize(name))}), timeout=300).read()
    else:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"If-Match": tag} if tag else {}), timeout=60) as r, open(name, "wb") as f:
            shutil.copyfileobj(r, f)
        if os.path.getsize(name) != int(r.headers["Content-Length"]):
            sys.exit(1)
except urllib.error.HTTPError as e:
    sys.exit(4 if e.code in (403, 404, 412) else 1)
except Exception:
    sys.exit(1)
'
}
ask() { # get|put FILE: 0; 4: the store said no; 127: there is nothing to do it with
  if has curl; then
    case $1 in get) set -- -C - -o "$2" ${tag:+-H "If-Match: $tag"} ;; put) set -- -T "$2" -o /dev/null ;; esac
    printf 'url = "%s"\n' "$url" | curl -q -g -f -s -K - --connect-timeout 30 --speed-limit 1 --speed-time 60 -w '%{http_code}' "$@" >"$tmp.code"
    c=$?; [ $c != 0 ] || return 0
    read -r code <"$tmp.code"
    case $code in 403 | 404 | 412) return 4 ;; esac
    case $code:$c in 416:* | *:33) rm -f "$tmp" ;; esac # it cannot be gone on with
    return 1
  elif has python3; then
    printf '%s\n' "$url" | python3 -c "$python" "$1" "$2" "$tag"
  elif has wget && case $(wget --help 2>&1) in *--body-file*) ;; *) false ;; esac; then # busybox's would need the address as an argument
    case $1 in get) set -- -O "$2" ${tag:+--header="If-Match: $tag"} ;; put) set -- --method=PUT --body-file="$2" -O /dev/null ;; esac
    printf '%s\n' "$url" | wget --no-config -q -t 1 -T 60 -i - "$@"
    case $? in 0) ;; 6 | 8) return 4 ;; *) return 1 ;; esac
  else
    return 127
  fi
} 2>/dev/null
persist() { # get|put FILE: up to six times
  for pause in 1 2 4 8 16 0; do
    ask "$@" && return
    case $? in 4 | 127) return $? ;; esac
    [ $pause = 0 ] || sleep $pause
  done
  return 1
}
why() { case $1 in 4) echo 'the store refused it' ;; 127) echo 'neither curl, python3 nor wget is here' ;; *) echo 'it failed again and again' ;; esac; }
bytes() { wc -c <"$1" | tr -d ' '; }
fetch() { # one row
  rm -f "$tmp"
  persist get "$tmp"; c=$?
  [ $c = 0 ] || { say "$path was not fetched: $(why $c)"; return 1; }
  [ "$size" = -1 ] || [ "$(bytes "$tmp")" = "$size" ] || { say "$path was not fetched: it has other than the $size bytes that were announced"; return 1; }
  case $what in
    file) mkdir -p "$(dirname "./$path")" && mv -f "$tmp" "./$path" ;;
    tree) mkdir -p "./$path" && tar -xf "$tmp" -C "./$path" && rm -f "$tmp" ;;
    resume) mkdir -p "$resume" && tar -xf "$tmp" -C "$resume" && rm -f "$tmp" ;;
  esac || { say "$path was fetched, and cannot be put in its place"; return 1; }
}
deliver() { # one row
  from=$tmp
  case $what in
    checkpoint)
      [ -f "$RUNCTL_CHECKPOINT_DIR/latest" ] || return 0
      read -r name <"$RUNCTL_CHECKPOINT_DIR/latest" || [ -n "$name" ]
      case /$name/ in // | //* | */../* | *[!A-Za-z0-9._/-]*) return 0 ;; esac
      tar -cf "$tmp" -C "$RUNCTL_CHECKPOINT_DIR" latest "$name" 2>/dev/null ;;
    *)
      if [ "$path" = . ]; then at=$RUNCTL_OUTPUT_DIR; elif [ -e "./$path" ]; then at=./$path; else at=$RUNCTL_OUTPUT_DIR/$path; fi
      if [ -d "$at" ]; then tar -cf "$tmp" -C "$at" . 2>/dev/null; elif [ -f "$at" ]; then from=$at; else say "$path was not delivered: it is not there"; return 1; fi ;;
  esac || { say "$path was not delivered: it cannot be read, or there is no room"; return 1; }
  [ "$(bytes "$from")" -le 5368709120 ] || { say "$path was not delivered: it has more than 5 GiB"; return 1; }
  persist put "$from"; c=$?
  rm -f "$tmp"
  [ $c = 0 ] || { say "$path was not delivered: $(why $c)"; return 1; }
}
before() { # the rows up to the job
  own
  while next; [ "$what" != // ]; do
    fetch || { rm -f "$tmp" "$tmp.code"; exit 74; }
  done
  rm -f "$tmp.code"
}
after() { # CODE: the rows after the job
  trap : HUP INT TERM # what was asked to end was the job
  own
  failed=0
  while [ "$rows" ] && next; do tag=; (deliver) || failed=74; done
  rm -f "$tmp" "$tmp.code"
  [ "$1" != 0 ] || exit $failed
  exit "$1"
}
trap : HUP INT TERM # a job that is asked to end leaves its results too; what is trapped so it gets as ever
(before) || exit 74
[ ! -d "$_RUNCTL_BASE/.runctl-resume" ] || { RUNCTL_RESUME=$_RUNCTL_BASE/.runctl-resume; export RUNCTL_RESUME; }
_RUNCTL_ROWS=.${_RUNCTL_ROWS#*'
//
'}
(exec "$@")
(after $?)
