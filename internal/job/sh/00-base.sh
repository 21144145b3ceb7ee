# The supervisor of one machine, protocol 1: protocol.go says what each verb takes and answers.
# POSIX sh and base tools only; tried under dash, bash and busybox ash. Below $root:
#   own/RUN/   what must survive, each a symlink, made once and atomically with its content, needing no disk block:
#              d digest · 1 2 3.. supervisor generations · j job · h hello · z zombie mode · w code by wait
#              · x why exec failed · K killed · c.GRACE cancels · m.GRACE the machine's end · p.GRACE the cloud's notice · l.EXPIRY lease · u the job's user · k its cgroup · e CAUSE:SINCE of the drain · f finished · r.PID replies to start
#   run/RUN/   ctl/{spec,in,go,exit.slot,exit} (0700) · out · job/{work,outputs,checkpoints}
#   guard/     what ends the machine: see the guard
#   lock.N     who has the machine: the highest N without free.N whose run goes on; nothing is ever removed
# A process is boot:pid:start, so that a reused pid is never taken for the old one.
# Times are hundredths of a second of uptime; wall-clock seconds are text in the receipt and decide nothing.
set +vx # a shell that the machine has told to trace would write secrets into the job's log
mask=${RUNCTL_UMASK:-$(umask)} root=${RUNCTL_ROOT:-$HOME/.runctl} proc=${RUNCTL_PROC:-/proc}
umask 077
guard=$root/guard naps=0 mem= gate= held= keeper= user= nl='
'
lead=$nl # before the first line, to part it from what a shell says when it starts
say() { printf '%sRUNCTL1 %s\n' "$lead" "$*"; lead=; }
bye() { say "$*${nl}RUNCTL1 end"; exit 0; } # in one piece: a server may hold back a second small one
number() { case $1 in '' | *[!0-9]* | ????????????????*) bye refused code=64 text='not a number' ;; esac; }
paths() { run=$1 o=$root/own/$1 d=$root/run/$1 mem=; ctl=$d/ctl; }
nap() { # short at first, for whoever waits for something that takes milliseconds
  naps=$((naps + 1))
  if [ $naps -lt 20 ]; then sleep 0.02; elif [ $naps -lt 120 ]; then sleep 0.1; else sleep 0.4; fi 2>/dev/null || sleep 1
}

