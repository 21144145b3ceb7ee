package lyceum

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestListsKeepTheDeadForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{})
		alive, dead, failed := c.create(good), c.create(good), c.create(good)
		c.face.Remove(dead)
		c.face.SetStatus(failed, Failed)
		pass(100 * 24 * time.Hour)
		assert.Equal(t, []string{alive}, c.listed(living))
		assert.Equal(t, []string{alive, dead}, c.listed("/vms/list?include_failed=false"))
		assert.Equal(t, []string{alive, failed}, c.listed("/vms/list?include_terminated=false"))
		assert.Equal(t, []string{alive, dead, failed}, c.listed("/vms/list"))
		old := c.do("GET", "/vms/list", "").json(t)["vms"].([]any)[1].(map[string]any)
		assert.Equal(t, []any{"rc1-a", "198.51.100.2:20001"}, []any{old["display_name"], old["ip_address"]}, "with their name and address")
		assert.Len(t, c.face.Violations(), 4, "who asks for the dead is told")

		c = newClient(t, Options{IgnoresFlags: true, Reversed: true})
		alive, dead = c.create(good), c.create(good)
		c.face.Remove(dead)
		assert.Equal(t, []string{dead, alive}, c.listed(living))
		c.clean()
	})
}

func TestAddressesHaveAPortOrNone(t *testing.T) {
	c := newClient(t, Options{})
	assert.NotContains(t, c.status(c.create(good))["ip_address"], ":")
	assert.Contains(t, c.status(c.create(good))["ip_address"], ":")
	assert.Equal(t, "h:7", newClientOf(t, Options{SSH: "h:7"}))
	assert.Equal(t, "2001:db8::1", newClientOf(t, Options{Address: func(int) string { return "2001:db8::1" }}))
}

func newClientOf(t *testing.T, opt Options) any {
	c := newClient(t, opt)
	return c.status(c.create(good))["ip_address"]
}

func TestNoughtGPUsAreOneThatIsBilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{})
		r := c.do("POST", "/vms/create", strings.Replace(good, `"gpu_count":2`, `"gpu_count":0`, 1)).json(t)
		assert.Equal(t, 1.0, r["instance_specs"].(map[string]any)["gpu_count"])
		id := r["vm_id"].(string)
		pass(time.Hour)
		assert.InDelta(t, 2.79, c.face.Spent(id), 1e-9)
		assert.NotEmpty(t, c.face.Violations(), "no correct client asks for that")

		c = newClient(t, Options{})
		above := c.create(strings.Replace(good, `"instance_specs":{"gpu_count":2}`, `"gpu_count":8,"instance_specs":{"gpu_count":1}`, 1))
		assert.Equal(t, 1, c.face.VM(above).GPUs, "what stands elsewhere is passed over")
		assert.NotEmpty(t, c.face.Violations())
	})
}

func TestALabelMayBeCutOrLost(t *testing.T) {
	c := newClient(t, Options{LabelMax: 3})
	r := c.do("POST", "/vms/create", good).json(t)
	assert.Equal(t, "rc1", r["display_name"])
	assert.Equal(t, "rc1", c.status(r["vm_id"].(string))["display_name"])
	c = newClient(t, Options{LabelMax: -1})
	assert.Nil(t, c.do("POST", "/vms/create", good).json(t)["display_name"])
	c.clean()
}

func TestWhateverMayBeNullIs(t *testing.T) {
	c := newClient(t, Options{Nulls: true, Script: func(Run) Script { return Script{Exit: -1} }})
	s := c.status(c.create(good))
	for _, field := range []string{"hardware_profile", "gpu_count", "instance_type", "name", "billed", "user_id", "org_id"} {
		assert.Contains(t, s, field)
		assert.Nil(t, s[field], field)
	}
	assert.Equal(t, "rc1-a", s["display_name"])
	id := c.start(pythonRun)
	c.do("GET", "/execution/"+id, "")
	c.do("GET", "/workloads/list", "")
	c.do("GET", "/billing/history", "")
	c.do("GET", living, "")
	c.clean()
}

func TestAMachineMayBeUnknownForSomeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{ListLag: time.Minute, GetLag: 5 * time.Second, Extra: true, Word: func(s string) string { return "newly_" + s }})
		id := c.create(good)
		assert.Equal(t, "404", c.status(id)["status"])
		assert.Equal(t, 404, c.do("DELETE", "/vms/"+id, "").StatusCode)
		pass(5 * time.Second)
		assert.Equal(t, "newly_ready", c.status(id)["status"])
		assert.Contains(t, c.status(id), "future_field")
		assert.Empty(t, c.listed(living))
		pass(55 * time.Second)
		assert.Equal(t, []string{id}, c.listed(living))
		c.face.Hide(id, time.Second)
		assert.Empty(t, c.listed(living))
		c.clean()
	})
}

func TestADeletionMayTakeItsTimeAndItsMoney(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Deleting: time.Hour})
		id := c.create(good)
		assert.Equal(t, "terminated", c.do("DELETE", "/vms/"+id, "").json(t)["status"])
		assert.Equal(t, "ready", c.status(id)["status"])
		assert.Equal(t, 200, c.do("DELETE", "/vms/"+id, "").StatusCode)
		pass(2 * time.Hour)
		assert.Equal(t, "terminated", c.status(id)["status"])
		assert.InDelta(t, 5.58, c.face.Spent(id), 1e-9)
		c.clean()
	})
}
