package runpod

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAWrongRequestIsCaught(t *testing.T) {
	gpu := func(with string) string { return strings.Replace(good, `"image"`, with+`,"image"`, 1) }
	for _, x := range []struct {
		name, method, path, body string
		status                   int
		violation                string // of it in Violations; empty: the API's own refusal is enough
	}{
		{"an unknown field", "POST", "/v2/pods", gpu(`"interruptible":true`), 422, "interruptible"},
		{"an unknown field of gpu", "POST", "/v2/pods", strings.Replace(good, `"count":2`, `"count":2,"bogus":1`, 1), 422, "bogus"},
		{"no name", "POST", "/v2/pods", `{"image":"a","gpu":{"id":"x","count":1},"cloud":"SECURE"}`, 422, "name"},
		{"no image", "POST", "/v2/pods", `{"name":"a","gpu":{"id":"x","count":1},"cloud":"SECURE"}`, 422, "image"},
		{"a wrong type", "POST", "/v2/pods", gpu(`"disk":"big"`), 422, "disk"},
		{"a wrong word", "POST", "/v2/pods", strings.Replace(good, `"SECURE"`, `"CLOUDY"`, 1), 422, "cloud"},
		{"half a CUDA version", "POST", "/v2/pods", strings.Replace(good, `"count":2`, `"count":2,"minCudaVersion":"12"`, 1), 422, "minCudaVersion"},
		{"malformed JSON", "POST", "/v2/pods", `{"name":`, 422, "createPod"},
		{"an unknown action", "POST", "/v2/pods/x/action", `{"action":"reset"}`, 422, "action"},
		{"a tail that is too long", "GET", "/v2/pods/x/logs?tail=5001", "", 422, "tail"},
		{"both sources", "GET", "/v2/pods/x/logs?source=both", "", 422, "source"},
		{"an undeclared query key", "GET", "/v2/pods?owner=me", "", 200, "owner"},
		{"an API that is gone", "POST", "/v1/pods", good, 410, "gone"},
		{"no such path", "GET", "/v2/podz", "", 404, "path"},
		{"no such method", "PUT", "/v2/pods", good, 405, "method"},
		{"the count left out", "POST", "/v2/pods", strings.Replace(good, `,"count":2`, ``, 1), 201, "gpu.count"},
		{"the cloud left out", "POST", "/v2/pods", strings.Replace(good, `"cloud":"SECURE",`, ``, 1), 201, "cloud"},
		{"a data center in lower case", "POST", "/v2/pods", gpu(`"dataCenterIds":["us-ks-2"]`), 201, "lower case"},
		{"the key in the environment", "POST", "/v2/pods", strings.Replace(good, `"A":"b"`, `"A":"`+key+`"`, 1), 201, "key"},

		{"gpu and cpu", "POST", "/v2/pods", gpu(`"cpu":{"id":"cpu3c","vcpuCount":2}`), 400, ""},
		{"neither gpu nor cpu", "POST", "/v2/pods", `{"name":"a","image":"b","cloud":"SECURE"}`, 400, ""},
		{"two mounts", "POST", "/v2/pods", gpu(`"mounts":{"persistent":{"size":20,"path":"/w"},"network":[{"volumeId":"vol1","path":"/w"}]}`), 400, ""},
		{"both CUDA rules", "POST", "/v2/pods", strings.Replace(good, `"count":2`, `"count":2,"minCudaVersion":"12.4","allowedCudaVersions":["12.8"]`, 1), 400, ""},
		{"a volume elsewhere", "POST", "/v2/pods", gpu(`"dataCenterIds":["US-KS-2"],"mounts":{"network":[{"volumeId":"vol1","path":"/w"}]}`), 400, ""},
		{"a volume that is not", "POST", "/v2/pods", gpu(`"mounts":{"network":[{"volumeId":"vol9","path":"/w"}]}`), 400, ""},
		{"a template that is not", "POST", "/v2/pods", gpu(`"templateId":"none"`), 404, ""},
		{"more GPUs than a host has", "POST", "/v2/pods", strings.Replace(good, `"count":2`, `"count":9`, 1), 400, ""},
		{"a type that is sold out", "POST", "/v2/pods", strings.Replace(good, "NVIDIA GeForce RTX 4090", "NVIDIA H200", 1), 400, ""},
		{"a type that is not", "POST", "/v2/pods", strings.Replace(good, "RTX 4090", "RTX 9090", 1), 400, ""},
		{"too many variables", "POST", "/v2/pods", strings.Replace(good, `"A":"b"`, variables(51), 1), 400, ""},
		{"a disk that is too large for its CPUs", "POST", "/v2/pods", `{"name":"a","image":"b","cloud":"SECURE","disk":30,"cpu":{"id":"cpu3c","vcpuCount":2}}`, 400, ""},
		{"stock without a product", "GET", "/v2/catalog/gpus?include=AVAILABILITY", "", 400, ""},
		{"a product without stock", "GET", "/v2/catalog/gpus?product=POD", "", 400, ""},
		{"a body that is too long", "POST", "/v2/pods", strings.Replace(good, "busybox", strings.Repeat("b", 102_400), 1), 413, "bytes"},
		{"nothing wrong", "POST", "/v2/pods", good, 201, ""},
		{"nothing wrong, with a volume", "POST", "/v2/pods", gpu(`"mounts":{"network":[{"volumeId":"vol1","path":"/w"}]}`), 201, ""},
		{"nothing wrong, without a GPU", "POST", "/v2/pods", `{"name":"a","image":"b","cloud":"SECURE","disk":20,"cpu":{"id":"cpu3c","vcpuCount":2}}`, 201, ""},
		{"nothing wrong in a listing", "GET", "/v2/catalog/gpus?include=AVAILABILITY&product=POD&count=2&cloud=COMMUNITY", "", 200, ""},
		{"nothing wrong in a name with spaces", "GET", "/v2/catalog/gpus/NVIDIA%20H100%20PCIe", "", 200, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newClient(t, Options{})
			c.face.AddVolume("EU-RO-1")
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
				assert.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
				var p problem
				require.NoError(t, json.Unmarshal([]byte(r.text), &p))
				assert.Equal(t, x.status, p.Status)
			}
		})
	}
}

func variables(n int) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprintf(`"V%d":"x"`, i))
	}
	return strings.Join(s, ",")
}

func TestAReplyThatTheDocumentDoesNotHaveIsCaught(t *testing.T) {
	c := newClient(t, Options{})
	p := c.create(good)
	c.face.with(p.ID, func(p *pod, _ time.Time) { p.Cloud = "CLOUDY" })
	c.status(p.ID)
	assert.Contains(t, strings.Join(c.face.Violations(), "\n"), "reply 200 of getPod")
	requests, responses := c.face.Checked()
	assert.Equal(t, []int{2, 2}, []int{requests, responses})
}
