package runpod

import "runctl"

func (p *Provider) vesselArgs(runctl.LaunchRequest, string) (args string, env map[string]string, err error) {
	return "", nil, unsupported("no jobs yet")
}

func (p *Provider) shellArgs(runctl.LaunchRequest, string) (args string, env map[string]string, err error) {
	return "", nil, unsupported("no shells yet")
}
