package lyceum

// Real lets runs be processes of this computer. It needs a system with signals.
type Real struct {
	Dir string // what runs write lies below; required
}
