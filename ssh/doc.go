// Package ssh makes machines that one already has a cloud: every host that one can log in to is an offer, and a launch
// claims it.
//
//	p, err := ssh.New(ssh.Config{Hosts: []ssh.Host{{Name: "gpu1"}, {Name: "kim@10.0.0.5:2222"}}})
//	if err != nil {
//		return err
//	}
//	defer p.Close()
//	client, err := runctl.New(runctl.Config{Owner: "me", Secret: secret}, p)
//	if err != nil {
//		return err
//	}
//	receipt, err := client.Run(ctx, runctl.RunSpec{
//		Lifetime: 8 * time.Hour,
//		Job:      runctl.Job{Args: []string{"python", "train.py"}, Outputs: []string{"model"}},
//		Collect:  "out",
//	})
//
// How a host is reached is read from OpenSSH's client configuration, and only known_hosts files are believed about its
// key; [Config.FirstUse] is the one, explicit exception.
//
// An instance is a claim, HOST:N. It is a symbolic link on the host that is made atomically with its content and never
// removed, so of any number of launches at once one gets the host, the others are told who has it, and the same token
// is the same claim for ever. The host is held by the highest N until that has ended, so to end an old claim can never end
// a later one. Everything that runs under a claim lies in a directory of its own.
//
// A claim ends when it is terminated, and by itself at its lifetime or after its keep time without a job: a process on
// the host, the guard, sees to that, whoever has vanished. The host itself stays on. A claim that was terminated loses its
// files; one that ended by itself keeps them for seven days.
//
// A claim keeps out those who launch through the same directory of the host, [Host.Root]: it is an agreement among
// users of runctl, no lock on the machine.
package ssh
