package ssh

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
)

func TestTheFileOfHosts(t *testing.T) {
	got, err := ParseHosts([]byte(`{"hosts": {
		"gpu1": {"price": "1.20", "currency": "EUR", "region": "lab", "gpu": "h100-sxm:8", "user_for_jobs": "nobody", "max_lifetime": "72h", "root": "/var/lib/runctl-host"},
		"kim@10.0.0.5:2222": {"gpu": "none", "price": "0"},
		"bare": {}}}`))
	require.NoError(t, err)
	assert.Equal(t, []Host{
		{Name: "gpu1", Price: runctl.MoneyOf(1.2, "EUR"), Region: "lab", GPU: runctl.GPU{Model: "H100-SXM", Count: 8}, JobUser: "nobody",
			MaxLifetime: 72 * time.Hour, Root: "/var/lib/runctl-host"},
		{Name: "kim@10.0.0.5:2222", NoGPU: true, Price: runctl.USD(0)},
		{Name: "bare"},
	}, got)
}

func TestTheFileOfHostsNamesWhatIsWrong(t *testing.T) {
	in := func(field string) string { return `{"hosts":{"gpu1":{` + field + `}}}` }
	for text, want := range map[string]string{
		``:                                  "EOF",
		`[]`:                                "must be an object",
		`{"host":{}}`:                       `host: no such field; the only one is "hosts"`,
		`{"hosts":[]}`:                      "hosts: must be an object",
		`{"hosts":{"a b":{}}}`:              "hosts.a b: ",
		`{"hosts":{"-oProxyCommand=x":{}}}`: "may begin with '-'",
		`{"hosts":{"a":{},"a":{}}}`:         "hosts: a stands there twice",
		`{"hosts":{"a":3}}`:                 "hosts.a: must be an object",
		`{"hosts":{}} x`:                    "more after the closing brace",
		`{"hosts":{"a":{}}`:                 "EOF",
		in(`"pric":"1"`):                    "hosts.gpu1.pric: no such field; allowed are currency, gpu, max_lifetime, price, region, root, user_for_jobs",
		in(`"price":1.2`):                   "hosts.gpu1.price: must be text in quotes, not a number",
		in(`"price":"-1"`):                  "hosts.gpu1.price: must be an amount for one hour",
		in(`"price":"1e3"`):                 "hosts.gpu1.price: must be an amount",
		in(`"price":"NaN"`):                 "hosts.gpu1.price: must be an amount",
		in(`"price":"2000000"`):             "hosts.gpu1.price: must be an amount",
		in(`"price":null`):                  "hosts.gpu1.price: must be an amount",
		in(`"price":"1","currency":"usd"`):  "hosts.gpu1.currency: must be three capital letters",
		in(`"currency":"USD"`):              "hosts.gpu1.currency: there is no price with it",
		in(`"price":"1","price":"2"`):       "hosts.gpu1: price stands there twice",
		in(`"gpu":"8xH100"`):                "hosts.gpu1.gpu: must be MODEL:COUNT",
		in(`"gpu":"H1000:8"`):               "hosts.gpu1.gpu: ",
		in(`"user_for_jobs":"a b"`):         "hosts.gpu1.user_for_jobs: must be the name of a user",
		in(`"user_for_jobs":"-u"`):          "hosts.gpu1.user_for_jobs: ",
		in(`"max_lifetime":"3 days"`):       `hosts.gpu1.max_lifetime: must be a duration of at least a minute, such as "72h"`,
		in(`"max_lifetime":"1s"`):           "hosts.gpu1.max_lifetime: ",
		in(`"root":"~/x"`):                  "hosts.gpu1.root: must be an absolute path",
		in(`"root":"/a/../b"`):              "hosts.gpu1.root: ",
		in(`"root":"/"`):                    "hosts.gpu1.root: ",
		in(`"region":"a b"`):                "hosts.gpu1.region: ",
		in(`"labels":{"a":"b"}`):            "hosts.gpu1.labels: no such field",
	} {
		_, err := ParseHosts([]byte(text))
		if assert.Error(t, err, text) {
			assert.Contains(t, err.Error(), want, text)
		}
	}
}

func FuzzParseHosts(f *testing.F) {
	f.Add([]byte(`{"hosts":{"gpu1":{"price":"1.20","currency":"EUR","gpu":"H100:8","max_lifetime":"72h","root":"/a"}}}`))
	f.Add([]byte(`{"hosts":{"a":{"user_for_jobs":"x","gpu":"none"},"b@c:1":{}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		hosts, err := ParseHosts(text)
		if err != nil {
			if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\x00\x1b") {
				t.Fatalf("the error is not printable: %q", err)
			}
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is no JSON", text)
		}
		for _, h := range hosts {
			own := &host{Host: h, id: hostID(h.Name)}
			if err := own.check(); err != nil && h.JobUser == "" && len(own.id) <= maxHostID {
				t.Fatalf("%+v passed, and is refused: %v", h, err)
			}
		}
	})
}

const goodReport = "noise\n\nRUNCTLH1 host up=100 wall=1000 boot=b id=0123 text=/r\nRUNCTLH1 claim n=7 text=v=1 boot=b up=50 at=999 life=60 keep=0 tok=t gpu=H100:8:81920 label=rc1-me-k-x\n" +
	"RUNCTLH1 kept n=7\nRUNCTLH1 held n=7\nRUNCTLH1 end\nmore noise\n"

func TestAReportIsWholeOrNothing(t *testing.T) {
	r, err := parseReport([]byte(goodReport))
	require.NoError(t, err)
	assert.Equal(t, report{up: 100, wall: 1000, boot: "b", id: "0123", root: "/r", held: 7, told: true, ended: true, claims: []claim{{n: 7, kept: true,
		text: "v=1 boot=b up=50 at=999 life=60 keep=0 tok=t gpu=H100:8:81920 label=rc1-me-k-x"}}}, r)
	end := strings.Index(goodReport, "RUNCTLH1 end\n") + len("RUNCTLH1 end\n")
	for cut := range end {
		_, err := parseReport([]byte(goodReport[:cut]))
		assert.ErrorIs(t, err, errDamaged, "cut at %d", cut)
	}
	for _, change := range []string{"up=100,up=x", "up=100,up=-1", "wall=1000,wall=0", "text=/r,text=r", "n=7,n=0", "wall=1000,wall=999999999999999"} {
		from, to, _ := strings.Cut(change, ",")
		_, err := parseReport([]byte(strings.Replace(goodReport, from, to, 1)))
		assert.ErrorIs(t, err, errDamaged, change)
	}
	_, err = parseReport([]byte("RUNCTLH1 refused code=74 text=no\x1b[2J room\nRUNCTLH1 end\n"))
	var no *refusal
	require.ErrorAs(t, err, &no)
	assert.Equal(t, refusal{code: 74, text: `no\x1b[2J room`}, *no)
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(goodReport))
	f.Add([]byte("RUNCTLH1 host up=1 wall=1 boot= id= text=/\nRUNCTLH1 claim n=1 text=x\nRUNCTLH1 free n=1 text=at=5 why=\nRUNCTLH1 end\n"))
	f.Add([]byte("RUNCTLH1 host up=9 wall=253402300799 boot=b id= text=/\nRUNCTLH1 claim n=1 text=v=1 at=253402300799 up=1 boot=b\nRUNCTLH1 ending n=2 text=\nRUNCTLH1 end\n"))
	p := &Provider{name: "ssh"}
	h := &host{Host: Host{Name: "gpu1"}, id: "gpu1"}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReport(b)
		if err != nil {
			return
		}
		for _, c := range r.claims {
			i := p.instance(h, r, c)
			if _, err := json.Marshal(i); err != nil {
				t.Fatal(err)
			}
			switch {
			case i.Seen.Before(i.Launched):
				t.Fatalf("seen %s before its launch %s", i.Seen, i.Launched)
			case (i.State == runctl.StateTerminated) != c.freed:
				t.Fatalf("%s, freed %t", i.State, c.freed)
			case !c.freed && !i.Ended.IsZero():
				t.Fatal("ended without being free")
			case i.ID != fmt.Sprintf("gpu1:%d", c.n):
				t.Fatal(i.ID)
			}
			_ = heldBy(h, i)
		}
	})
}

func TestNamesOfHostsInIDs(t *testing.T) {
	p := &Provider{}
	names := []string{"gpu1", "GPU-1.lab", "kim@10.0.0.5:2222", "kim@[fe80::1]:22", "a_b", "a_5Fb", "a+b", "a_2Bb"}
	seen := map[string]bool{}
	for _, n := range names {
		p.hosts = append(p.hosts, &host{Host: Host{Name: n}, id: hostID(n)})
		assert.False(t, seen[hostID(n)], n)
		seen[hostID(n)] = true
	}
	for _, h := range p.hosts {
		id := h.instanceID(42)
		assert.Empty(t, strings.Trim(id, idLetters+":"), id)
		got, n, err := p.find(id)
		require.NoError(t, err, id)
		assert.Same(t, h, got)
		assert.EqualValues(t, 42, n)
	}
	for _, id := range []string{"", "gpu1", "gpu1:", "gpu1:0", "gpu1:-1", "gpu1:01", "gpu1:+1", "gpu1:1:2", ":1", "gpu1:99999999999999999999", "gpu1:1 "} {
		_, _, err := p.find(id)
		if !assert.Error(t, err, id) {
			continue
		}
		assert.Equal(t, runctl.ErrNotFound, kindOf(err), id)
	}
	_, _, err := p.find("away:3")
	assert.Equal(t, runctl.ErrInvalid, kindOf(err), "a host that is not configured proves nothing")
	assert.ErrorContains(t, err, "RUNCTL_SSH_HOSTS")
}

func TestAnAgeIsCountedInUptimeWhereItCan(t *testing.T) {
	p, h := &Provider{}, &host{Host: Host{Name: "gpu1"}, id: "gpu1"}
	c := claim{n: 1, text: "v=1 boot=b up=1000 at=5000 life=60 keep=0 tok=t gpu=- label=l"}
	for _, tt := range []struct {
		why  string
		r    report
		want time.Duration
	}{
		{"same boot", report{boot: "b", up: 7000, wall: 99999}, time.Minute},
		{"the clock was set back", report{boot: "b", up: 7000, wall: 1}, time.Minute},
		{"after a reboot", report{boot: "c", up: 10, wall: 5090}, 90 * time.Second},
		{"after a reboot with a wrong clock", report{boot: "c", up: 10, wall: 1}, 0},
		{"another boot, up for longer", report{boot: "c", up: 7000, wall: 5090}, 90 * time.Second},
		{"another boot of the same name", report{boot: "b", up: 10, wall: 5090}, 90 * time.Second},
	} {
		i := p.instance(h, tt.r, c)
		assert.Equal(t, tt.want, i.Age(), tt.why)
		assert.Equal(t, time.Unix(5000, 0).UTC(), i.Launched, tt.why)
	}
	c.freed, c.free = true, "up=3000 at=1 boot=b why=terminated"
	i := p.instance(h, report{boot: "c", up: 10, wall: 9000}, c)
	assert.Equal(t, i.Launched.Add(20*time.Second), i.Ended)
	assert.Equal(t, "terminated", i.Reason)
}
