# --- main ---
verb=$1; [ $# -eq 0 ] || shift
case $verb in
  ward | end) $verb "$@"; exit ;;
  sup | stage) paths "$1"; shift; $verb "$@"; exit ;;
esac
RUNCTL_UMASK=$mask; export RUNCTL_UMASK
wake
case $verb in
  list | guard | hello | codeask | codetree | codepart | codeput) ;;
  start | status | wait | log | cancel | renew | tree | sums | get | tail | put | patch | move) # of one run
    case $1 in '' | *[!a-z0-9-]*) bye refused code=64 text='no run id' ;; esac
    paths "$1" ;;
  *) bye refused code=64 text='no such verb' ;;
esac
"v_$verb" "$@"
