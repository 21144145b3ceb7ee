package lyceum

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAWrongRequestIsCaught(t *testing.T) {
	machine := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	for _, x := range []struct {
		name, method, path, body string
		status                   int
		violation                string // of it in Violations; empty: the API's own refusal is enough
	}{
		{"an unknown field", "POST", "/vms/create", machine(`"user_`, `"region":"eu","user_`), 200, "region"},
		{"a machine's old name field", "POST", "/vms/create", machine(`display_name`, `name`), 200, "label"},
		{"no key", "POST", "/vms/create", machine(`"user_public_key":"ssh-ed25519 AAAA x",`, ``), 422, "user_public_key"},
		{"an empty key", "POST", "/vms/create", machine(`ssh-ed25519 AAAA x`, ``), 422, "user_public_key"},
		{"no profile", "POST", "/vms/create", machine(`"hardware_profile":"h100",`, ``), 422, "hardware_profile"},
		{"a profile that is not", "POST", "/vms/create", machine(`h100`, `gpu.h100`), 400, "hardware_profile"},
		{"three GPUs", "POST", "/vms/create", machine(`"gpu_count":2`, `"gpu_count":3`), 400, "gpu_count"},
		{"no GPUs", "POST", "/vms/create", machine(`"gpu_count":2`, `"gpu_count":0`), 200, "gpu_count"},
		{"the number of GPUs left out", "POST", "/vms/create", machine(`"gpu_count":2`, ``), 200, "gpu_count"},
		{"the market left out", "POST", "/vms/create", machine(`,"instance_type":"on-demand"`, ``), 200, "instance_type"},
		{"a market that is not", "POST", "/vms/create", machine(`on-demand`, `cheap`), 422, "instance_type"},
		{"a wrong type", "POST", "/vms/create", machine(`"rc1-a"`, `7`), 422, "display_name"},
		{"malformed JSON", "POST", "/vms/create", `{"user_public_key":`, 422, "createVM"},
		{"the account's key in a label", "POST", "/vms/create", machine(`rc1-a`, key), 200, "key"},
		{"a listing of the dead", "GET", "/vms/list?include_failed=false", "", 200, "dead"},
		{"an undeclared query key", "GET", living + "&owner=me", "", 200, "owner"},
		{"the account's key in a query", "GET", living + "&" + key + "=1", "", 200, "<KEY>"},
		{"a flag that is none", "GET", "/vms/list?include_terminated=no&include_failed=false", "", 422, "include_terminated"},
		{"no such path", "GET", "/vms", "", 404, "path"},
		{"no such method", "PUT", "/vms/create", good, 405, "method"},
		{"outside of the API", "GET", "http://lyceum.test/vms/list", "", 404, "below"},
		{"what the face does not serve", "GET", "/storage/list-files", "", 404, "not served"},

		{"a run that is too long", "POST", "/execution/streaming/start", strings.Replace(pythonRun, `600`, `601`, 1), 422, "timeout"},
		{"a run without code", "POST", "/execution/streaming/start", strings.Replace(pythonRun, `"code":"print(1)",`, ``, 1), 422, "code"},
		{"requirements by their old name", "POST", "/execution/streaming/start", strings.Replace(pythonRun, `"code"`, `"requirements":"x","code"`, 1), 200, "requirements"},
		{"a run without a machine", "POST", "/execution/streaming/start", strings.Replace(pythonRun, `"execution_type":"cpu",`, ``, 1), 200, "execution_type"},
		{"a run without a time limit", "POST", "/execution/streaming/start", strings.Replace(pythonRun, `"timeout":600,`, ``, 1), 200, "timeout"},
		{"a run on a machine that is not", "POST", "/execution/streaming/start", strings.Replace(pythonRun, `"cpu"`, `"tpu"`, 1), 400, ""},
		{"a run without a label", "POST", "/execution/streaming/start", strings.Replace(pythonRun, `"file_name":"rc1-r",`, ``, 1), 200, "file_name"},
		{"files that are none", "POST", "/execution/streaming/start", strings.Replace(pythonRun, `"import_files":null`, `"import_files":"x"`, 1), 400, ""},
		{"a container without its mount said", "POST", "/execution/image/start", strings.Replace(imageRun, `,"enable_s3_mount":false`, ``, 1), 200, "enable_s3_mount"},
		{"a container without a command", "POST", "/execution/image/start", strings.Replace(imageRun, `"docker_run_cmd":["sh","-c","exit 3"],`, ``, 1), 422, "docker_run_cmd"},
		{"more logs than there may be", "GET", "/logs/execution/x?limit=10001", "", 422, "limit"},

		{"nothing wrong", "POST", "/vms/create", good, 200, ""},
		{"nothing wrong on spot", "POST", "/vms/create", machine(`on-demand`, `spot`), 200, ""},
		{"spot that is not offered", "POST", "/vms/create", strings.NewReplacer(`on-demand`, `spot`, `h100`, `l40s`).Replace(good), 500, ""},
		{"a number of GPUs that are not left", "POST", "/vms/create", machine(`h100`, `h200`), 500, ""},
		{"a run that is not", "GET", "/execution/x", "", 404, ""},
		{"a machine that is not", "GET", "/vms/x/status", "", 404, ""},
		{"nothing wrong with a run", "POST", "/execution/streaming/start", pythonRun, 200, ""},
		{"nothing wrong with a container", "POST", "/execution/image/start", imageRun, 200, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newClient(t, Options{})
			r := c.do(x.method, x.path, x.body)
			require.NoError(t, r.err)
			assert.Equal(t, x.status, r.StatusCode, r.text)
			if x.violation == "" {
				c.clean()
			} else {
				assert.Contains(t, strings.Join(c.face.Violations(), "\n"), x.violation)
				assert.NotContains(t, strings.Join(c.face.Violations(), "\n"), key)
			}
			if r.StatusCode >= 400 {
				assert.Contains(t, r.json(t), "detail")
			}
		})
	}
}

func TestAReplyThatTheDocumentDoesNotHaveIsCaught(t *testing.T) {
	c := newClient(t, Options{Storage: map[string]any{"access_key": 7}})
	c.do("POST", "/storage/credentials", "")
	assert.Contains(t, strings.Join(c.face.Violations(), "\n"), "reply 200 of getStorageCredentials")
	requests, responses := c.face.Checked()
	assert.Equal(t, []int{1, 1}, []int{requests, responses})
}
