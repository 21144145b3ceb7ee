package canary

import (
	"encoding/pem"
	"os"
	"path/filepath"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl/code"
)

// code brings a directory to the machine in which there are also files with secrets, as people have them.
func (s *site) code() {
	dir := s.t.TempDir()
	write := func(name, text string) {
		require.NoError(s.t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(s.t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	plain := s.name + ", a plain file of the code"
	write("train.sh", "#!/bin/sh\n# "+s.h.control(plain)+"\n")
	for _, name := range []string{".env", "deep/.env.production", ".ssh/id_ed25519", "id_rsa", ".aws/credentials", ".netrc", ".git/config", "server.pem", "tls/private.key",
		".git-credentials", ".huggingface/token", "service-account-1.json", "runctl-out/old/log"} {
		write(name, "export TOKEN="+s.h.token("a secret in "+name)+"\n")
	}
	seed := s.h.token("a private key in a file of any name")
	write("notes.txt", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(seed)})))
	write("ignored.txt", s.h.token("a secret in an ignored file"))
	write(".gitignore", "ignored.txt\n")

	tree, err := code.Dir(dir, code.Options{Cache: filepath.Join(s.t.TempDir(), "cache")})
	require.NoError(s.t, err)
	s.h.hidden(atValue, "code.Tree", tree, "%s", "%d")
	s.h.value(atValue, "code.Report", tree.Report())
	up, gate := newPipe(s.t), newPipe(s.t)
	spec := s.spec("coded", carried+`echo up >`+up.path+`; read x <`+gate.path)
	spec.Job.Code, spec.Job.Dir = tree, "."
	running, ended := s.carries(&spec)
	look := func(program string, _ int) {
		s.processes("before " + program)
		s.files("before "+program, false)
	}
	s.gates.shut(look)
	r := s.start(s.t.Context(), spec)
	up.hear()
	s.gates.open()
	s.begun("coded")
	running()
	assert.True(s.t, s.h.saw(atPrivate, plain), "the code is there")
	s.gates.shut(look) // before what is delivered
	gate.say()
	s.finish(s.t.Context(), r, 0)
	s.gates.open()
	ended()

	write("run\x01.sh", s.h.token("a file that cannot be sent"))
	_, err = code.Dir(dir, code.Options{})
	require.Error(s.t, err)
	s.h.failure("Dir", err)
}
