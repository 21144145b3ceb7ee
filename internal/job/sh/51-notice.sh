# --- the cloud's word that it takes a spot machine back in two minutes: guard/imds -> where EC2's metadata service is ---
#   guard/notice.BOOT it has come · guard/deaf -> why it cannot be heard. Only a 404 says that there is none
ask_curl() { # METHOD URL HEADER: the body, and the status in a line of its own
  printf 'request = "%s"\nurl = "%s"\nheader = "%s"\n' "$@" | curl -q -K - -s -m 2 --noproxy '*' -w '\n%{http_code}'
}
ask_python3() {
  printf %s "$3" | python3 -I -c '
import sys, urllib.request as r
k, v = sys.stdin.read().split(": ", 1)
try: f = r.build_opener(r.ProxyHandler({})).open(r.Request(sys.argv[2], headers={k: v}, method=sys.argv[1]), timeout=2)
except r.HTTPError as e: f = e
print(f.read().decode("ascii", "replace")); print(f.code, end="")
' "$1" "$2"
}
ask_wget() { # GNU's: busybox's cannot
  printf 'header = %s\n' "$3" >"$guard/wget" || return
  wget --config="$guard/wget" -q -S --no-proxy --method="$1" -T 2 -t 1 --content-on-error -O - "$2" 2>"$guard/wget.said"
  echo; sed -n 's/^ *HTTP[^ ]* \([0-9]*\).*/\1/p' "$guard/wget.said"
}
asks() { # METHOD PATH HEADER: status and body, by the first tool that gets an answer
  for tool in curl python3 wget; do
    command -v $tool >/dev/null || continue
    body=$(ask_$tool "$1" "$imds$2" "$3"); status=${body##*"$nl"}; body=${body%"$nl"*}
    case $status in [1-5][0-9][0-9]) return ;; esac
  done
  status=none
}
peek() {
  imds=$(readlink "$guard/imds")
  asks PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 60'
  case $status:$body in
    200: | 200:*[!A-Za-z0-9+/=_-]*) status=token ;;
    200:*) asks GET /latest/meta-data/spot/instance-action "X-aws-ec2-metadata-token: $body" ;;
    *) status=token-$status ;;
  esac
  case $status:$body in
    404:*) rm -f "$guard/deaf" ;;
    200:*\"action\"*) ln -s . "$guard/notice.$boot" ;;
    *) [ -L "$guard/deaf" ] || ln -s "$status" "$guard/deaf" ;;
  esac
}
notices() { # each 5 s, and nobody waits for the answer; after it every run is drained, in its own grace or 90 s
  [ -L "$guard/imds" ] || return 0
  if [ -L "$guard/notice.$boot" ]; then
    for f in $active; do ln -s . "$root/own/$f/p.90000"; done
  elif [ "$now" -ge "$peek_at" ]; then
    peek_at=$((now + 500))
    (peek) </dev/null >/dev/null 2>&1 &
  fi
} 2>/dev/null
hears() { # notice: nothing, watched, deaf or taken
  notice=
  [ ! -L "$guard/imds" ] || notice=watched
  [ ! -L "$guard/deaf" ] || notice=deaf
  [ ! -L "$guard/notice.$boot" ] || notice=taken
}
