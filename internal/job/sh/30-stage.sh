# --- the job's own process: waits at the gate, then becomes the job ---
places() { # directories of the sourced spec
  case $sp_dir in /*) dir=$sp_dir ;; *) dir=$d/job/work/$sp_dir ;; esac
  ckpt=${sp_ckpt:-$d/job/checkpoints} outputs=${sp_outputs:-$d/job/outputs}
}
try() { [ ! -f "$1" ] || ! may "$1" || exit 0; [ ! -e "$1" ] || found=126; }
runnable() ( # NAME...: 0, 126 or 127; only by this look can a missing command be told from a job's exit 127
  found=127
  case $1 in */*) try "$1" ;; *) set -f; IFS=:; for f in $PATH; do try "${f:-.}/$1"; done ;; esac
  exit $found
)
stage() {
  settled && lock_in
  { echo 0 >"$proc/self/oom_score_adj"; } 2>/dev/null
  look $$ && ln -s "$boot:$$:$born" "$o/j" 2>/dev/null || exit 75 # exactly once for a run
  . "$ctl/spec"; places
  read -r x <"$ctl/go"; rm -f "$ctl/go"
  cd "$dir" || exit 126
  . "$ctl/in"; rm -f "$ctl/in"
  RUNCTL_RUN_ID=$run RUNCTL_ATTEMPT=$sp_attempt RUNCTL_CHECKPOINT_DIR=$ckpt RUNCTL_OUTPUT_DIR=$outputs
  export RUNCTL_RUN_ID RUNCTL_ATTEMPT RUNCTL_CHECKPOINT_DIR RUNCTL_OUTPUT_DIR
  unset RUNCTL_ROOT RUNCTL_PROC RUNCTL_UMASK RUNCTL_RESUME
  [ -z "$sp_resume" ] || { RUNCTL_RESUME=$sp_resume; export RUNCTL_RESUME; }
  umask "$mask"
  dress
  (sp_env; sp_exec runnable)
  case $? in
    127) ln -s notfound "$o/x"; exit 127 ;; # the log is the job's alone: the receipt says it
    126) ln -s notexec "$o/x"; exit 126 ;;
  esac
  sp_env; sp_exec as # nothing may stand between: the job's variables may have the names of ours
}

