# --- a pod's own end, by RunPod's API and with the pod's own key, which is never an argument of a program ---
pod_curl() { # METHOD URL BODY
  printf 'request = "%s"\nurl = "%s"\nheader = "Authorization: Bearer %s"\nheader = "Content-Type: application/json"\n' "$1" "$2" "$RUNPOD_API_KEY" |
    { cat; [ -z "$3" ] || echo 'data = "{\"action\":\"stop\"}"'; } |
    curl -q -K - -s -f -A runctl-pod -m 30 -o /dev/null
}
pod_python3() {
  python3 -I -c '
import os, sys, urllib.request as r
m, u, b = sys.argv[1:]
h = {"Authorization": "Bearer " + os.environ["RUNPOD_API_KEY"], "Content-Type": "application/json", "User-Agent": "runctl-pod"}
stay = type("Stay", (r.HTTPRedirectHandler,), {"redirect_request": lambda *a: None})
r.build_opener(stay).open(r.Request(u, b.encode() or None, h, method=m), timeout=30)
' "$@"
}
pod_wget() { # GNU's: busybox's takes headers as arguments only, and refuses this
  printf 'header = Authorization: Bearer %s\nheader = Content-Type: application/json\n' "$RUNPOD_API_KEY" >"$root/wget.$$" &&
    wget --config="$root/wget.$$" -q -U runctl-pod -T 30 -t 1 --max-redirect=0 -O /dev/null ${3:+--post-data="$3"} "$2"
  set -- $?; rm -f "$root/wget.$$"; return "$1"
}
pod_call() { # METHOD PATH BODY: by the first tool that there is and that succeeds
  case $RUNPOD_POD_ID in '' | *[!A-Za-z0-9_-]*) return 1 ;; esac
  [ -n "$RUNPOD_API_KEY" ] || return
  for tool in curl python3 wget; do
    command -v $tool >/dev/null && pod_$tool "$1" "$pod_api/v2/pods/$RUNPOD_POD_ID$2" "$3" && return
  done
  return 1
}
end_ask() { pod_call GET '' ''; } # by reading its own record
end_now() { pod_call POST /action '{"action":"stop"}'; }
