# --- a container that is one job. role, the job= of the start line: run, ended or lost: it was started here;
# done or begun: a container before this one left that word on the lasting storage; late; refused ---
mine() { # is the one start of this job that the lasting storage ever sees this container's? links are not everywhere
  ln -s "$birth" "$ve_durable/start" 2>/dev/null
  [ "$(readlink "$ve_durable/start")" = "$birth" ] || mkdir "$ve_durable/start" 2>/dev/null
}
kept() { IFS= read -r line <"$ve_durable/exit" && body=${line%% sum=*} && [ "$line" = "$body sum=${#body} ." ]; } 2>/dev/null
recall() { # what became of this job before, as far as the lasting storage knows
  if kept; then role='done'
  elif [ -e "$ve_durable/start" ] || [ -L "$ve_durable/start" ]; then role=begun why='it was started before, and left no receipt'
  fi
}
assign() { # the role of this container
  [ -z "$ve_durable" ] || recall
  [ $role = run ] || return
  [ "$at" -le "$ve_start_by" ] || { role=late why='the container was started again, or too late'; return; }
  [ -z "$ve_durable" ] || { mkdir -p "$ve_durable" && mine; } 2>/dev/null || {
    role=refused why='the lasting storage cannot be written'; recall; }
}
keep() { # the receipt and the log, where they outlive the container
  [ -n "$ve_durable" ] || return 0
  i=0; until kept && [ "$line" = "$want" ] || [ $i = 20 ]; do
    printf '%s\n' "$want" >"$ve_durable/exit.new" && mv -f "$ve_durable/exit.new" "$ve_durable/exit"
    i=$((i + 1)); nap
  done
  cp "$d/out" "$ve_durable/log"
} 2>/dev/null
over() { # ROLE: the job has ended, or will never begin
  role=$1
  now; [ "$stop_at" -lt $((now + ve_linger)) ] || stop_at=$((now + ve_linger))
}
embark() { # hand the job to a supervisor, which is a process of its own
  c=$( (v_start "$ve_run" "$ve_digest" "$ve_bytes") <"$root/spec"); rm -f "$root/spec"
  case $c in *"RUNCTL1 refused "*) c=${c#*text=}; why=${c%%"$nl"*}; over refused ;; esac
}
watchman() { # what of the job?
  if [ -n "$termed" ]; then termed= naps=0; ln -s . "$o/c.spec"; fi 2>/dev/null
  now; [ $((now - t0)) -lt "$lasts" ] || [ -L "$o/m.$((ve_grace * 10))" ] || ln -s . "$o/m.$((ve_grace * 10))" 2>/dev/null
  looked=$((looked + 1))
  [ -L "$o/f" ] || [ $((looked % 10)) = 0 ] || return
  settle
  case $phase in
    'done') want=$line
      while pump all; do :; done
      keep; over ended ;;
    lost | none) why=$ev; while pump all; do :; done; over lost ;;
  esac
}
vessel() { # [STATE...]
  born "$@"; paths "$ve_run"; cd /
  looked=0 said=0 want=
  if [ $# = 0 ]; then assign; tell; case $role in run) embark ;; *) over $role ;; esac
  elif [ $role = ended ] && receipt; then want=$line
  fi
  [ $role != 'done' ] || { kept; want=$line; }
  while :; do
    i=0; while [ $i -lt 40 ] && [ -z "$termed" ] && pump; do i=$((i + 1)); done
    if [ $role = run ]; then watchman; else termed=; fi
    tell
    if [ -n "$want" ] && { [ $said = 0 ] || [ $((now - said)) -ge 3000 ]; }; then said=$now; word EXIT "$want"; fi
    leave
    if [ $role = run ] && [ $naps -lt 60 ]; then nap; else sleep 1; fi
  done
}
