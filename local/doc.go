// Package local makes this computer a cloud: an instance is a directory below a state directory, a job is
// a process of the caller's own user, and everything is free.
//
//	p, err := local.New(local.Config{})
//	...
//	client, err := runctl.New(runctl.Config{Owner: "me"}, p)
//
// An instance has no process of its own. Whoever asks computes its state: it runs until its lifetime is
// over, until it is terminated, or until its keep time has passed without a live run. One that should end
// while a run is still alive is StateStopping; it is StateTerminated only when nothing runs on it any more.
// What ended stays readable for seven days, and is removed by a later launch.
//
// Jobs run in place, in a directory of the caller's and with the caller's environment, and are not kept
// apart from each other or from the caller: there is no isolation of any kind. Several processes may
// use one state directory at the same time; it must be on a local file system.
//
// Linux is supported in full, and macOS as far as its ps(1) tells; elsewhere [New] fails with
// errors.ErrUnsupported.
package local
