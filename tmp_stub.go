package runctl

type keyState struct{}
type pacer struct{ rate float64 }
type poller struct{}

func (p *poller) close() {}

type wires struct{}

func (w *wires) close() {}
