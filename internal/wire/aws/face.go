package aws

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"runctl/internal/wire"
)

// Face is one account in one region. Use [New].
type Face struct {
	wire.Checks
	wire.Faults
	opt Options

	mu        sync.Mutex
	instances []*instance
	byID      map[string]*instance
	tokens    map[string]*launch // by zone or region, and token
	volumes   []*volume
	groups    []*group
	keys      []*keyPair
	commands  []*command
	sessions  []*session
	buckets   map[string]*bucket
	denied    map[string]bool
	soldOut   map[string]bool // "type zone", with * for any
	asked     []string        // parameters that named an image
	failing   []string        // codes by which the next boots fail
	spotPrice map[string]float64
	onCommand Script
	agent     Agent
	calls     []Call
	serial    int
	closed    bool
	busy      sync.WaitGroup // what runs in the background
}

// Call is one request that was served, in order.
type Call struct {
	At     time.Time
	Op     string
	Params map[string]any // as the model names them
	Code   string         // of the refusal; empty: none
}

// New returns an account with a default VPC, and nothing in it.
func New(opt Options) *Face {
	opt.AccessKey, opt.Secret = cmp.Or(opt.AccessKey, defaultKey), cmp.Or(opt.Secret, defaultValue)
	f := &Face{Checks: wire.Checks{Secret: opt.Secret}, opt: opt, byID: map[string]*instance{}, tokens: map[string]*launch{}, buckets: map[string]*bucket{}, denied: map[string]bool{},
		soldOut: map[string]bool{}, spotPrice: map[string]float64{}}
	if !opt.NoVPC {
		f.groups = []*group{f.newGroup("default", "default VPC security group", vpcID, nil)}
	}
	return f
}

// exchange is one request in the making.
type exchange struct {
	f    *Face
	r    *http.Request
	body []byte
	o    *operation
	in   params
	id   string // of the request
	call int    // its place among the calls
	late func() // what happens after the reply is made, without the lock
}

// operations are what the face does, by their names; all of them run under the lock.
var operations map[string]func(*exchange) (params, *refusal)

func init() { // they call each other
	operations = map[string]func(*exchange) (params, *refusal){
		"RunInstances": (*exchange).runInstances, "DescribeInstances": (*exchange).describeInstances, "DescribeInstanceStatus": (*exchange).describeInstanceStatus,
		"TerminateInstances": (*exchange).terminateInstances, "StopInstances": (*exchange).stopInstances, "StartInstances": (*exchange).startInstances,
		"RebootInstances": (*exchange).rebootInstances, "DescribeInstanceAttribute": (*exchange).describeInstanceAttribute,
		"ModifyInstanceAttribute": (*exchange).modifyInstanceAttribute, "GetConsoleOutput": (*exchange).getConsoleOutput,
		"AssociateIamInstanceProfile": (*exchange).associateProfile, "DescribeIamInstanceProfileAssociations": (*exchange).describeProfiles,
		"DescribeInstanceTypes": (*exchange).describeInstanceTypes, "DescribeInstanceTypeOfferings": (*exchange).describeOfferings,
		"DescribeSpotPriceHistory": (*exchange).describeSpotPrices, "DescribeSpotInstanceRequests": (*exchange).describeSpotRequests,
		"CancelSpotInstanceRequests": (*exchange).cancelSpotRequests, "DescribeImages": (*exchange).describeImages,
		"DescribeRegions": (*exchange).describeRegions, "DescribeAvailabilityZones": (*exchange).describeZones, "DescribeVpcs": (*exchange).describeVpcs,
		"DescribeSubnets": (*exchange).describeSubnets, "DescribeNetworkInterfaces": (*exchange).describeInterfaces,
		"CreateSecurityGroup": (*exchange).createGroup, "DescribeSecurityGroups": (*exchange).describeGroups, "DeleteSecurityGroup": (*exchange).deleteGroup,
		"AuthorizeSecurityGroupIngress": (*exchange).authorizeIngress, "RevokeSecurityGroupIngress": (*exchange).revokeIngress,
		"AuthorizeSecurityGroupEgress": (*exchange).authorizeEgress, "RevokeSecurityGroupEgress": (*exchange).revokeEgress,
		"DescribeSecurityGroupRules": (*exchange).describeRules,
		"ImportKeyPair":              (*exchange).importKey, "DescribeKeyPairs": (*exchange).describeKeys, "DeleteKeyPair": (*exchange).deleteKey,
		"CreateVolume": (*exchange).createVolume, "DescribeVolumes": (*exchange).describeVolumes, "AttachVolume": (*exchange).attachVolume,
		"DetachVolume": (*exchange).detachVolume, "DeleteVolume": (*exchange).deleteVolume,
		"CreateTags": (*exchange).createTags, "DeleteTags": (*exchange).deleteTags, "DescribeTags": (*exchange).describeTags,
		"SendCommand": (*exchange).sendCommand, "GetCommandInvocation": (*exchange).getInvocation, "ListCommandInvocations": (*exchange).listInvocations,
		"CancelCommand": (*exchange).cancelCommand, "DescribeInstanceInformation": (*exchange).describeAgents,
		"GetParameter": (*exchange).getParameter, "GetParameters": (*exchange).getParameters,
		"StartSession": (*exchange).startSession, "TerminateSession": (*exchange).terminateSession, "ResumeSession": (*exchange).resumeSession,
		"DescribeSessions": (*exchange).describeSessions,
		"GetProducts":      (*exchange).getProducts, "GetCallerIdentity": (*exchange).callerIdentity,
	}
}

// ServeHTTP implements http.Handler.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, streamPath) {
		f.stream(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone in the middle of its request: nothing happened
	}
	form, _ := url.ParseQuery(string(body))
	x := &exchange{f: f, r: r, body: body, o: find(r.Header.Get("X-Amz-Target"), form.Get("Version"), form.Get("Action"))}
	f.mu.Lock()
	f.serial++
	x.id = fmt.Sprintf("%08x-face-4ace-8ace-%012x", f.serial, time.Now().Unix())
	f.mu.Unlock()
	if x.o == nil {
		f.Wrong("%s %s: the face does not know action %q, target %q", r.Method, r.URL.Path, form.Get("Action"), r.Header.Get("X-Amz-Target"))
		http.Error(w, "<html><body>what?</body></html>", http.StatusNotFound)
		return
	}
	d := &reader{m: x.o.model}
	if x.o.model.Metadata.Protocol == "json" {
		x.in = d.body(body, x.o)
	} else {
		x.in = d.form(form, x.o)
	}
	f.serve(w, x, d.wrongs)
}

// serve answers an operation of the model.
func (f *Face) serve(w http.ResponseWriter, x *exchange, wrongs []wrong) {
	f.Count(1, 0)
	f.mu.Lock()
	f.calls = append(f.calls, Call{At: time.Now(), Op: x.o.name, Params: x.in})
	x.call = len(f.calls) - 1
	no := x.admit()
	f.mu.Unlock()
	for _, bad := range wrongs {
		f.Wrong("%s: %s", x.o.name, bad)
		if no == nil {
			no = refuse(http.StatusBadRequest, bad.code, "%s", bad.text)
		}
	}
	if no != nil {
		x.reply(w, nil, no)
		return
	}
	fault := f.Take(x.o.name)
	if !fault.Wait(x.r.Context()) {
		panic(http.ErrAbortHandler)
	}
	if fault != nil && fault.OnlyWaits() {
		fault = nil
	}
	var out params
	if fault == nil || fault.Acts {
		out, no = x.act()
	}
	if fault != nil {
		x.failAs(w, fault, out, no)
		return
	}
	x.reply(w, out, no)
}

// act does what was asked for.
func (x *exchange) act() (out params, no *refusal) {
	do := operations[x.o.name]
	if do == nil {
		x.f.Wrong("%s: not served by this face", x.o.name)
		return nil, refuse(http.StatusBadRequest, "InvalidAction", "The action %s is not valid for this web service.", x.o.name)
	}
	func() {
		x.f.mu.Lock()
		defer x.f.mu.Unlock() // a panic is the request's, and not everybody's
		x.f.advance(time.Now())
		out, no = do(x)
	}()
	if x.late != nil {
		x.late()
	}
	return out, no
}

// Close ends processes, sessions and commands, and waits for them. The face answers on.
func (f *Face) Close() {
	f.mu.Lock()
	f.closed = true
	for _, i := range f.instances {
		i.unplug()
	}
	for _, s := range f.sessions {
		s.end()
	}
	f.mu.Unlock()
	f.busy.Wait()
}
