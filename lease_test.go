package runctl_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"runctl"
	"runctl/fake"
)

const (
	fourMinutes = 4 * time.Minute // less than a slice of a wait without a lease
	tenMinutes  = 10 * time.Minute
)

func leased(key string, lease time.Duration) runctl.RunSpec {
	s := spec(key, 0)
	s.Job.Lease = lease
	return s
}

// Whoever waits, or follows the log, keeps a leased run alive: also when the reader pauses for longer than a lease.
func TestAWatchedRunOutlivesItsLease(t *testing.T) {
	for name, watch := range map[string]func(t *testing.T, r *runctl.Run) error{
		"waiting": func(t *testing.T, r *runctl.Run) error {
			_, err := r.Wait(t.Context())
			return err
		},
		"following": func(t *testing.T, r *runctl.Run) error {
			for _, err := range r.Logs(t.Context(), runctl.LogQuery{Follow: true}) {
				if err != nil {
					return err
				}
				<-time.After(3 * fourMinutes) // a pager, at the end of its page
			}
			return nil
		},
	} {
		for _, again := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cloud := fake.New()
					cloud.Script("", fake.Script{Log: "1\n2\n3\n4\n", Duration: 10*fourMinutes + time.Minute})
					c := client(t, cloud, runctl.Config{})
					r := start(t, c, leased("a", fourMinutes))
					assert.Equal(t, runctl.RoadShell, r.Instance().Road, "the job road has no leases")
					if again { // another process, which knows of no lease
						var err error
						r, err = client(t, cloud, runctl.Config{}).Attach(t.Context(), r.Ref())
						require.NoError(t, err)
					}
					require.NoError(t, watch(t, r))
					s, err := r.Status(t.Context())
					require.NoError(t, err)
					require.True(t, s.Receipt.Succeeded(), "%+v", s.Receipt)
				})
			})
		}
	}
}

// Nobody watches: the run ends with its lease, not a moment before, and looking at it changes nothing.
func TestAnUnwatchedRunEndsWithItsLease(t *testing.T) {
	for _, look := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cloud := fake.New()
			cloud.Script("", fake.Script{Log: "a\n", Hold: true})
			r := start(t, client(t, cloud, runctl.Config{}), leased("a", tenMinutes))
			for range 9 {
				<-time.After(time.Minute)
				if look {
					s, err := r.Status(t.Context())
					require.NoError(t, err)
					require.Equal(t, runctl.Alive, s.Live)
					for _, err := range r.Logs(t.Context(), runctl.LogQuery{}) {
						require.NoError(t, err)
					}
				}
			}
			<-time.After(2 * time.Minute)
			s, err := r.Status(t.Context())
			require.NoError(t, err)
			require.NotNil(t, s.Receipt)
			assert.Equal(t, runctl.CauseLease, s.Receipt.Cause)
			assert.WithinDuration(t, s.Receipt.Started.Add(tenMinutes), s.Receipt.Ended, time.Second)
			_, err = r.Wait(t.Context())
			var exit *runctl.ExitError
			require.ErrorAs(t, err, &exit, "a job that its lease ended has not succeeded")
		})
	}
}

// A watcher who leaves takes the lease along, counted from his last renewal.
func TestTheLeaseCountsFromTheLastWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Hold: true})
		r := start(t, client(t, cloud, runctl.Config{}), leased("a", tenMinutes))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := r.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		<-time.After(6 * time.Minute)
		s, err := r.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, runctl.Alive, s.Live)
		<-time.After(5 * time.Minute)
		s, err = r.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, runctl.CauseLease, s.Receipt.Cause)
	})
}

// Without a lease silence never touches a run.
func TestSilenceDoesNotEndARunWithoutALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.ShellOnly())
		cloud.Script("", fake.Script{Hold: true})
		r := start(t, client(t, cloud, runctl.Config{}), leased("a", 0))
		<-time.After(40 * time.Hour)
		s, err := r.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, runctl.Alive, s.Live)
	})
}

// A connection that is dead for half a lease, again and again, and without a word, does not cost the run.
func TestALeaseSurvivesCuts(t *testing.T) {
	for _, hang := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			cloud := fake.New()
			cloud.Script("", fake.Script{Duration: 10*time.Minute + time.Second})
			c := client(t, cloud, runctl.Config{})
			r := start(t, c, leased("a", time.Minute))
			for n := 5; n < 200; n += 7 {
				cloud.Inject(fake.Fault{Op: fake.OpExec, Nth: n, Hang: hang})
			}
			receipt, err := r.Wait(t.Context())
			require.NoError(t, err)
			assert.True(t, receipt.Succeeded())
		})
	}
}

// Renewals that fail are no matter of the wait: the receipt says how the run ended.
func TestAFailedRenewalIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New()
		cloud.Script("", fake.Script{Hold: true})
		r := start(t, client(t, deafTo{cloud, "renew"}, runctl.Config{}), leased("a", tenMinutes))
		began := time.Now()
		receipt, err := r.Wait(t.Context())
		var exit *runctl.ExitError
		require.ErrorAs(t, err, &exit)
		assert.Equal(t, runctl.CauseLease, receipt.Cause)
		assert.Less(t, time.Since(began), tenMinutes+time.Minute)
	})
}

// deafTo is a cloud whose machines do not hear one verb.
type deafTo struct {
	*fake.Cloud
	verb string
}

func (d deafTo) Connect(ctx context.Context, i runctl.Instance, a runctl.Access) (runctl.Machine, error) {
	m, err := d.Cloud.Connect(ctx, i, a)
	return deafMachine{m, d.verb}, err
}

type deafMachine struct {
	runctl.Machine
	verb string
}

func (d deafMachine) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if slices.Contains(argv, d.verb) {
		return -1, errors.New("not heard")
	}
	return d.Machine.Exec(ctx, argv, stdin, stdout, stderr)
}

// A run without a lease costs no more calls than it did.
func TestWaitingWithoutALeaseAsksForNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.ShellOnly())
		cloud.Script("", fake.Script{Duration: 20 * time.Second})
		r := start(t, client(t, cloud, runctl.Config{}), leased("a", 0))
		_, err := r.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, cloud.Calls(fake.OpExec), "start, wait")
	})
}

func TestLeasesAreChecked(t *testing.T) {
	cloud := fake.New()
	c := client(t, cloud, runctl.Config{})
	for _, bad := range []time.Duration{-time.Hour, time.Nanosecond, time.Minute - 1, 48*time.Hour + 1} {
		_, err := c.Start(t.Context(), leased("a", bad))
		require.ErrorIs(t, err, runctl.ErrInvalid, bad)
		assert.Contains(t, err.Error(), "Job.Lease")
	}
	s := leased("a", time.Hour)
	s.Needs.Road = runctl.RoadJob
	_, err := c.Start(t.Context(), s)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.Contains(t, err.Error(), "Job.Lease needs the shell road")
	require.Zero(t, cloud.Launched())

	i, err := c.Launch(t.Context(), runctl.LaunchSpec{Key: "box", Lifetime: time.Hour, MaxHourly: runctl.USD(9)})
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), i.Ref(), runctl.Job{Args: []string{"train"}, Lease: 2 * time.Hour})
	require.ErrorIs(t, err, runctl.ErrInvalid)
	require.Zero(t, cloud.Calls(fake.OpExec))
}
