package providertest

import (
	"fmt"

	"runctl"
)

func (c Commands) exit(code int) []string {
	if c.Exit != nil {
		return c.Exit(code)
	}
	return []string{"sh", "-c", fmt.Sprintf("exit %d", code)}
}

func (c Commands) cat() []string {
	if c.Cat != nil {
		return c.Cat()
	}
	return []string{"cat"}
}

func (c Commands) args(args ...string) []string {
	if c.Args != nil {
		return c.Args(args...)
	}
	return append([]string{"sh", "-c", `printf '%s\0' "$@"`, "sh"}, args...)
}

func (c Commands) stderr(text string) []string {
	if c.Stderr != nil {
		return c.Stderr(text)
	}
	return []string{"sh", "-c", `printf %s "$1" >&2`, "sh", text}
}

func (c Commands) block() []string {
	if c.Block != nil {
		return c.Block()
	}
	return []string{"sleep", "1000"}
}

// job makes a job of the work.
func (h Harness) job(p runctl.Provider, key string, w Work) runctl.Job {
	if h.Job != nil {
		return h.Job(p, key, w)
	}
	last := fmt.Sprintf("exit %d", w.ExitCode)
	if w.Block {
		last = "exec sleep 1000"
	}
	if w.Output > 0 {
		last = fmt.Sprintf(`dd if=/dev/zero bs=1024 count=%d 2>/dev/null | tr '\000' x >"$RUNCTL_OUTPUT_DIR/out"; `, w.Output) + last
	}
	return runctl.Job{ID: key, Args: []string{"sh", "-c", `printf %s "$1"; ` + last, "sh", w.Log}}
}
